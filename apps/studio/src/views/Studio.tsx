/** The frame of all screens: tabs, theme, keyboard. */
import { signal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { tabs } from '../link.ts';
import { isWriting } from '../writing.ts';
import { currentAddress, openTab, tab, trouble } from '../store.ts';
import { Explore } from './Explore.tsx';
import { Later } from './Later.tsx';

const copied = signal(false);

const dark = matchMedia('(prefers-color-scheme: dark)');
const theme = signal<'light' | 'dark'>(dark.matches ? 'dark' : 'light');
document.documentElement.dataset['theme'] = theme.value;

function otherTheme(): void {
  theme.value = theme.value === 'dark' ? 'light' : 'dark';
  document.documentElement.dataset['theme'] = theme.value;
  dispatchEvent(new Event('studio:theme'));
}

async function copyLink(): Promise<void> {
  history.replaceState(null, '', currentAddress());
  try {
    await navigator.clipboard.writeText(location.href);
    copied.value = true;
    setTimeout(() => (copied.value = false), 1500);
  } catch {
    trouble.value = 'This browser does not let the page write to the clipboard: the address bar has the link.';
  }
}

function onKey({ key, target, ctrlKey, metaKey, altKey }: KeyboardEvent): void {
  if (key === 't' && !ctrlKey && !metaKey && !altKey && !isWriting(target as HTMLElement)) otherTheme();
}
addEventListener('keydown', onKey);

/** Screens that are loaded when they are opened. */
const mutate = async (): Promise<ComponentType> => (await import('./Mutate.tsx')).Mutate;
const run = async (): Promise<ComponentType> => (await import('./Run.tsx')).Run;
const write = async (): Promise<ComponentType> => (await import('./Write.tsx')).Write;

export function Studio() {
  return (
    <>
      <header class="top">
        <div class="brand">
          <svg width="18" height="16" viewBox="0 0 16 16" aria-hidden="true">
            <rect width="10" height="4" fill="var(--c0)" />
            <rect x="6" y="6" width="10" height="4" fill="var(--c1)" />
            <rect x="3" y="12" width="6" height="4" fill="var(--bad)" />
          </svg>
          <span>Shootdown studio</span>
        </div>
        <nav aria-label="screens">
          {tabs.map((name) => (
            <button
              key={name}
              class="tab"
              aria-current={tab.value === name ? 'page' : undefined}
              onClick={() => openTab(name)}
            >
              {name[0]?.toUpperCase() + name.slice(1)}
            </button>
          ))}
        </nav>
        <span class="sp" />
        <button class="btn pri share" onClick={() => void copyLink()}>
          {copied.value ? 'Copied' : 'Copy link'} {tab.value === 'explore' && <span class="hide">to this step</span>}
        </button>
        <button class="btn" onClick={otherTheme} aria-label="Light or dark">
          {theme.value === 'dark' ? 'light' : 'dark'}
        </button>
      </header>
      {trouble.value !== null && (
        <p class="trouble" role="alert">
          <b>×</b> {trouble.value}
          <button class="btn" onClick={() => (trouble.value = null)}>
            Dismiss
          </button>
        </p>
      )}
      {tab.value === 'explore' && <Explore />}
      {tab.value === 'mutate' && <Later key="mutate" load={mutate} />}
      {tab.value === 'run' && <Later key="run" load={run} />}
      {tab.value === 'write' && <Later key="write" load={write} />}
    </>
  );
}
