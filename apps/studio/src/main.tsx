/** The page: one screen at a time, one address for each. */
import { render } from 'preact';
import { openLink } from './store.ts';
import './theme.css';
import { Studio } from './views/Studio.tsx';

const root = document.getElementById('app');
if (root) render(<Studio />, root);
addEventListener('popstate', () => void openLink());
addEventListener('hashchange', () => void openLink());
void openLink();
