/** What is loaded when it is looked at. */
import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { said, trouble } from '../store.ts';

export function Later({ load }: { readonly load: () => Promise<ComponentType> }) {
  const [View, setView] = useState<ComponentType | null>(null);
  useEffect(() => {
    load().then(
      (view) => setView(() => view),
      (error: unknown) => (trouble.value = said(error)),
    );
  }, [load]);
  return View ? <View /> : <div class="waiting">Loading ...</div>;
}
