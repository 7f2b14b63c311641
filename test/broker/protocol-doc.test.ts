/** PROTOCOL.md and the code tell the same numbers. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FRAME, PROTOCOL_VERSION } from '../../src/broker/frame.ts';
import { FRAME_PAYLOAD_MAX, STDIN_WINDOW } from '../../src/limits.ts';

const TEXT = readFileSync(new URL('../../src/broker/PROTOCOL.md', import.meta.url), 'utf8');

/** The only number that `pattern` captures. */
function numberIn(pattern: RegExp): number {
  const found = pattern.exec(TEXT)?.[1];
  assert.ok(found !== undefined, `PROTOCOL.md says nothing like ${pattern}`);
  return Number(found.replaceAll(',', ''));
}

test("The protocol's table of frames is that of the code", () => {
  const rows = [...TEXT.matchAll(/^\| (\d+) \| ([A-Z]+) \|/gm)];
  assert.deepEqual(
    rows.map(([, number, name]) => [name, Number(number)]),
    Object.entries(FRAME),
  );
});

test("The protocol's version is that of the code", () => {
  assert.equal(numberIn(/^# .*protocol, version (\d+)$/m), PROTOCOL_VERSION);
  assert.equal(numberIn(/^\| 1 \| HELLO \|.*"version": (\d+)/m), PROTOCOL_VERSION);
});

test("The protocol's limits are those of the code", () => {
  assert.equal(numberIn(/A payload is at most (\d+) KiB/) * 1024, FRAME_PAYLOAD_MAX);
  assert.equal(numberIn(/A payload is at most \d+ KiB \(([\d,]+) bytes\)/), FRAME_PAYLOAD_MAX);
  assert.equal(numberIn(/at most (\d+) MiB of STDIN/) * 1024 * 1024, STDIN_WINDOW);
});
