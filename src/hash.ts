/** SHA-256 for names. Bun's own hasher where there is one: loading node:crypto there takes 2 ms, and folders wait for it. */
import { loadBuiltin } from './load-builtin.ts';

interface BunRuntime {
  CryptoHasher: { hash(algorithm: string, data: string, encoding: string): string };
}

/** The first `digits` hexadecimal digits of the text's SHA-256. */
export function shortHash(text: string, digits: number): string {
  const bun = (globalThis as { Bun?: BunRuntime }).Bun;
  const hex = bun === undefined ? nodeHash(text) : bun.CryptoHasher.hash('sha256', text, 'hex');
  return hex.slice(0, digits);
}

function nodeHash(text: string): string {
  const { createHash } = loadBuiltin('node:crypto') as typeof import('node:crypto');
  return createHash('sha256').update(text).digest('hex');
}
