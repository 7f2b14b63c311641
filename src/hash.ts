/** Hashes for names. Bun's own where there are some: loading node:crypto there takes 2 ms, and folders wait for it. */
import { loadBuiltin } from './load-builtin.ts';

interface BunRuntime {
  CryptoHasher: { hash(algorithm: string, data: string, encoding: string): string };
  /** Wyhash, 64 bits (bun.com/docs/runtime/hashing). */
  hash(data: string): bigint;
}

/** The first `digits` hexadecimal digits of the text's SHA-256. */
export function shortHash(text: string, digits: number): string {
  const bun = (globalThis as { Bun?: BunRuntime }).Bun;
  const hex = bun === undefined ? nodeHash(text) : bun.CryptoHasher.hash('sha256', text, 'hex');
  return hex.slice(0, digits);
}

/**
 * 16 hexadecimal digits that tell texts apart where nobody gains by making two alike: SHA-256's first use takes Bun
 * 0.1 ms, this one a quarter of that.
 */
export function quickHash(text: string): string {
  const bun = (globalThis as { Bun?: BunRuntime }).Bun;
  return bun === undefined ? nodeHash(text).slice(0, 16) : bun.hash(text).toString(16).padStart(16, '0');
}

function nodeHash(text: string): string {
  const { createHash } = loadBuiltin('node:crypto') as typeof import('node:crypto');
  return createHash('sha256').update(text).digest('hex');
}
