/** How many imapds are kept warm follows what is opened at once. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BurstWatch } from '../../src/broker/burst-watch.ts';
import { BURST_MAX, BURST_WINDOW_MS, WARM_AGE_MS } from '../../src/limits.ts';

const NOON = 43_200_000;

function watch(...opens: readonly (readonly [at: number, ready: boolean])[]): BurstWatch {
  const bursts = new BurstWatch();
  for (const [at, ready] of opens) bursts.opened(NOON + at, ready);
  return bursts;
}

describe('What is opened at once', () => {
  it('is nothing before the first folder', () => {
    assert.equal(watch().size(0), 0);
  });

  it('counts what comes before an imapd is warm again', () => {
    assert.equal(watch([0, true], [5, false], [9, false]).size(NOON + 10), 3);
  });

  it('is one where each finds an imapd waiting, however fast they follow each other', () => {
    assert.equal(watch([0, true], [50, true], [100, true]).size(NOON + 100), 1);
  });

  it('is one where the line is slow, and they come far apart', () => {
    assert.equal(watch([0, false], [BURST_WINDOW_MS, false]).size(NOON + BURST_WINDOW_MS), 1);
  });

  it('has a limit', () => {
    const many = Array.from({ length: 20 }, (_, index) => [index, false] as const);
    assert.equal(watch(...many).size(NOON + 20), BURST_MAX);
  });

  it('is remembered past smaller ones, and forgotten after a while', () => {
    const bursts = watch([0, true], [1, false], [2, false], [60_000, true], [120_000, true]);
    assert.equal(bursts.size(NOON + 120_000), 3);
    assert.equal(bursts.size(NOON + 2 + WARM_AGE_MS), 0);
    bursts.opened(NOON + 3 + WARM_AGE_MS, false);
    assert.equal(bursts.size(NOON + 3 + WARM_AGE_MS), 1);
  });

  it('is nothing any more once the server has refused', () => {
    const bursts = watch([0, true], [1, false], [2, false]);
    bursts.forget();
    assert.equal(bursts.size(NOON + 3), 0);
    bursts.opened(NOON + 4, false);
    assert.equal(bursts.size(NOON + 4), 1);
  });
});
