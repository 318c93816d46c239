/** The page's side of the workers: started when first asked, thrown away when they are stuck or dead. */
import { proxy, wrap, type Remote } from 'comlink';
import type {
  Beyond,
  Engine,
  EngineTexts,
  GalleryEntry,
  GalleryText,
  JudgedLine,
  MachineEntry,
  Mutated,
  OwnCode,
  RanMachine,
  ReadCode,
  ScenarioEntry,
  SearchProgress,
  SystemRequest,
  Verdict,
  Walk,
} from './api.ts';

const engines = import.meta.glob<string>('./engine.worker.ts', {
  query: '?worker&url',
  import: 'default',
  eager: true,
});
/** Where the worker stands. */
const engineUrl = new URL(Object.values(engines)[0] ?? '', location.href).href;

/** Code of the reader's own that gives no sign of life for so long is ended. */
const SILENT_SECONDS_MAX = 20;
/** A search that tells nothing on its way may take longer. */
const SILENT_SEARCH_SECONDS_MAX = 120;

/** A worker with what watches over it. */
interface Running {
  readonly remote: Remote<Engine>;
  /** Rejected when it ends by itself. */
  readonly died: Promise<never>;
  readonly end: () => void;
}

function startShipped(): Running {
  const worker = new Worker(engineUrl, { type: 'module' });
  const died = new Promise<never>((_, reject) => {
    worker.addEventListener('error', (event) => {
      event.preventDefault();
      const why = event.message || 'its worker is out of memory or could not start';
      reject(new Error(`the search has ended: ${why}`));
    });
  });
  died.catch(() => undefined);
  return { remote: wrap<Engine>(worker), died, end: () => worker.terminate() };
}

/** The engine as text: fetched once, by a worker, for the page itself has no network. */
let texts: Promise<EngineTexts> | null = null;

async function startSandboxed(): Promise<Running> {
  const { openSandbox } = await import('./sandbox.ts');
  texts ??= catalogue.texts(engineUrl);
  const { port, died, close } = await openSandbox(await texts);
  return { remote: wrap<Engine>(port), died, end: close };
}

/** What is asked about: code of one's own is kept apart. */
interface About {
  readonly own: OwnCode | null;
  readonly silentSecondsMax?: number;
}

const SHIPPED: About = { own: null };

/** One of several workers: the panes answer while others search. */
class EngineClient {
  #shipped: Running | null = null;
  #own: Promise<Running> | null = null;

  async #start({ own }: About): Promise<Running> {
    // C is data to the checker: only JavaScript could do something else.
    if (own === null || !/\.[cm]?[jt]s$/.test(own.name)) return (this.#shipped ??= startShipped());
    return await (this.#own ??= startSandboxed());
  }

  /** Ends whatever is under way. */
  stop(): void {
    this.#shipped?.end();
    this.#shipped = null;
    this.#own?.then(
      ({ end }) => end(),
      () => undefined,
    );
    this.#own = null;
  }

  async #ask<T>(about: About, question: (remote: Remote<Engine>, alive: () => void) => Promise<T>): Promise<T> {
    const running = await this.#start(about);
    const watch = new Silence(about);
    try {
      return await Promise.race([question(running.remote, () => watch.alive()), running.died, watch.tooLong]);
    } catch (error) {
      if (watch.isOver || (await isDead(running))) this.stop();
      throw error;
    } finally {
      watch.end();
    }
  }

  scenarios(): Promise<ScenarioEntry[]> {
    return this.#ask(SHIPPED, (remote) => remote.scenarios());
  }

  explore(request: SystemRequest, onProgress: (progress: SearchProgress) => void): Promise<Verdict> {
    return this.#ask(request, (remote, alive) =>
      remote.explore(
        request,
        proxy((progress: SearchProgress) => {
          alive();
          onProgress(progress);
        }),
      ),
    );
  }

  walk(request: SystemRequest, schedule: readonly number[]): Promise<Walk> {
    return this.#ask(request, (remote) => remote.walk(request, schedule));
  }

  beyond(request: SystemRequest, schedule: readonly number[]): Promise<Beyond> {
    return this.#ask(slow(request), (remote) => remote.beyond(request, schedule));
  }

  onwards(request: SystemRequest, schedule: readonly number[]): Promise<Walk | null> {
    return this.#ask(slow(request), (remote) => remote.onwards(request, schedule));
  }

  mutate(request: SystemRequest, onJudged: (line: JudgedLine, judged: number, all: number) => void): Promise<Mutated> {
    return this.#ask(slow(request), (remote, alive) =>
      remote.mutate(
        request,
        proxy((line: JudgedLine, judged: number, all: number) => {
          alive();
          onJudged(line, judged, all);
        }),
      ),
    );
  }

  machines(): Promise<MachineEntry[]> {
    return this.#ask(SHIPPED, (remote) => remote.machines());
  }

  run(name: string, text: string, onProgress: (steps: number, nanoseconds: number) => void): Promise<RanMachine> {
    return this.#ask(SHIPPED, (remote) => remote.run(name, text, proxy(onProgress)));
  }

  texts(address: string): Promise<EngineTexts> {
    return this.#ask(SHIPPED, (remote) => remote.texts(address));
  }

  gallery(): Promise<GalleryEntry[]> {
    return this.#ask(SHIPPED, (remote) => remote.gallery());
  }

  galleryText(group: string, name: string): Promise<GalleryText> {
    return this.#ask(SHIPPED, (remote) => remote.galleryText(group, name));
  }

  /** Reads code of one's own: what it holds, or what is wrong with it. */
  read(own: OwnCode, target: { readonly scenario: string; readonly variant: string } | null): Promise<ReadCode> {
    return this.#ask({ own }, (remote) => remote.read(own, target));
  }
}

function slow({ own }: SystemRequest): About {
  return { own, silentSecondsMax: SILENT_SEARCH_SECONDS_MAX };
}

/** Whether a worker has died of its own accord. */
async function isDead({ died }: Running): Promise<boolean> {
  return await Promise.race([
    died.then(
      () => false,
      () => true,
    ),
    Promise.resolve(false),
  ]);
}

/** Waits for signs of life from code of the reader's own; what ships may take its time. */
class Silence {
  readonly tooLong: Promise<never>;
  isOver = false;
  readonly #seconds: number;
  #fail: (error: Error) => void = () => undefined;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor({ own, silentSecondsMax = SILENT_SECONDS_MAX }: About) {
    this.#seconds = silentSecondsMax;
    this.tooLong = new Promise((_, reject) => (this.#fail = reject));
    this.tooLong.catch(() => undefined);
    if (own !== null) this.alive();
  }

  alive(): void {
    this.end();
    this.#timer = setTimeout(() => {
      this.isOver = true;
      this.#fail(
        new Error(
          `it was ended, for it gave no sign of life for ${this.#seconds} s: a loop without an end, or out of memory?`,
        ),
      );
    }, this.#seconds * 1000);
  }

  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

/** Answers at once: verdicts and walks. */
export const foreground = new EngineClient();
/** Searches the whole space around a walk. */
export const background = new EngineClient();
/** Changes lines, and runs machines. */
export const laboratory = new EngineClient();
/** Knows what there is: scenarios, and texts to begin with. */
export const catalogue = new EngineClient();
