/** Whether the resolver knows the name of an alias. */
import { lookup } from 'node:dns/promises';
import { RESOLVE_MS } from './limits.ts';

/** An address; undefined where there is none. A resolver that is silent is asked no longer than `signal` and a few seconds. */
export async function resolveName(host: string, signal?: AbortSignal): Promise<string | undefined> {
  let stop: () => void = () => {};
  const late = new Promise<undefined>((done) => {
    stop = () => done(undefined);
  });
  const timer = setTimeout(stop, RESOLVE_MS);
  signal?.addEventListener('abort', stop, { once: true });
  const found = lookup(host).then(
    ({ address }) => address,
    () => undefined,
  );
  return await Promise.race([found, late]).finally(() => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  });
}
