/** The modules of this engine as texts, for a sandbox that may not load them. */
import type { EngineTexts } from './api.ts';

/** What a sandbox does not need: C is read outside of it. */
const UNUSED = /^(?:own-c|library-c|gallery|machines)-/;
const SPECIFIER = /["'`]\.\/([\w.-]+\.js)["'`]/g;

/** Every module that the one at an address leads to. */
export async function textsFrom(address: string): Promise<EngineTexts> {
  const folder = address.lastIndexOf('/') + 1;
  const entry = address.slice(folder);
  const texts: Record<string, string> = {};
  const follow = async (name: string): Promise<void> => {
    if (name in texts || UNUSED.test(name)) return;
    texts[name] = '';
    const response = await fetch(new URL(name, address));
    if (!response.ok) throw new Error(`sandbox: ${name}: ${response.status}`);
    const text = await response.text();
    texts[name] = text;
    await Promise.all([...text.matchAll(SPECIFIER)].map(([, other = '']) => follow(other)));
  };
  await follow(entry);
  return { base: address.slice(0, folder), entry, texts };
}
