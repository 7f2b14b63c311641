/** The streams between a mail client and its broker: every byte once and in order, and nobody gets more than he wants. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { carry, hasEnded } from '../src/byte-flow.ts';
import { LightSink, LightSource } from '../src/light-streams.ts';
import { caseCount } from './helpers/cases.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** What a source gave to a listener, `end` and `close` included. */
function listen(source: LightSource): string[] {
  const heard: string[] = [];
  source.on('data', (chunk: Buffer) => heard.push(chunk.toString('latin1')));
  for (const event of ['end', 'close']) source.on(event, () => heard.push(event));
  return heard;
}

describe('A source', () => {
  test('keeps what comes before somebody listens, and gives it to all who listen by the end of the turn', async () => {
    const source = new LightSource(10, () => {});
    source.push(bytes('a'));
    const first = listen(source);
    source.push(bytes('b'));
    const second = listen(source);
    assert.deepEqual([first, second], [[], []]);
    await setImmediate();
    source.push(bytes('c'));
    assert.deepEqual(
      [first, second],
      [
        ['a', 'b', 'c'],
        ['a', 'b', 'c'],
      ],
    );
  });

  test('ends behind its last byte, once', async () => {
    const source = new LightSource(10, () => {});
    source.push(bytes('a'));
    source.finish();
    source.finish();
    source.push(bytes('too late'));
    assert.equal(hasEnded(source), false);
    const heard = listen(source);
    await setImmediate();
    assert.deepEqual(heard, ['a', 'end', 'close']);
    assert.equal(hasEnded(source), true);
    source.resume();
    await setImmediate();
    assert.equal(heard.length, 3);
  });

  test('gives nothing while it is paused, not even its end', async () => {
    const source = new LightSource(10, () => {});
    const heard = listen(source);
    source.pause();
    source.push(bytes('a'));
    source.finish();
    await setImmediate();
    assert.deepEqual(heard, []);
    source.resume();
    source.pause();
    await setImmediate();
    assert.deepEqual(heard, []);
    source.resume();
    await setImmediate();
    assert.deepEqual(heard, ['a', 'end', 'close']);
  });

  test('may be paused by the one it gives to, in the middle of what it has', async () => {
    const source = new LightSource(10, () => {});
    for (const text of ['a', 'b', 'c']) source.push(bytes(text));
    const heard: string[] = [];
    source.on('data', (chunk: Buffer) => {
      heard.push(chunk.toString());
      source.pause();
    });
    await setImmediate();
    assert.deepEqual(heard, ['a']);
    source.resume();
    await setImmediate();
    assert.deepEqual(heard, ['a', 'b']);
  });

  test('says that it has enough, and when it wants more', async () => {
    let wanted = 0;
    const source = new LightSource(2, () => {
      wanted += 1;
    });
    await setImmediate();
    assert.equal(wanted, 0);
    listen(source);
    await setImmediate();
    assert.equal(wanted, 1);
    assert.equal(source.push(bytes('ab')), true, 'what is taken at once is not held');
    source.pause();
    assert.equal(source.push(bytes('a')), true);
    assert.equal(source.push(bytes('b')), false);
    await setImmediate();
    assert.equal(wanted, 1);
    source.resume();
    await setImmediate();
    assert.equal(wanted, 2);
  });

  test('may be given more by the one that it asks for it', async () => {
    const texts = ['a', 'b', 'c'];
    const source = new LightSource(1, (self) => {
      for (const text of texts.splice(0)) self.push(bytes(text));
      self.finish();
    });
    const heard = listen(source);
    await setImmediate();
    assert.deepEqual(heard, ['a', 'b', 'c', 'end', 'close']);
  });
});

/** A sink whose chunks are passed on when the test says so. */
function openSink(ahead: number) {
  const passed: string[] = [];
  const open: ((error?: Error) => void)[] = [];
  const heard: string[] = [];
  const sink = new LightSink({
    ahead,
    write: (chunk, done) => {
      passed.push(Buffer.from(chunk).toString('latin1'));
      open.push(done);
    },
    end: () => void passed.push('END'),
  });
  for (const event of ['drain', 'finish', 'close']) sink.on(event, () => heard.push(event));
  sink.on('error', (error: Error) => heard.push(error.message));
  return { sink, passed, heard, settle: (error?: Error) => open.shift()?.(error) };
}

describe('A sink', () => {
  test('passes on one chunk at a time, tells of each, and ends behind the last', () => {
    const { sink, passed, heard, settle } = openSink(10);
    const told: string[] = [];
    assert.equal(
      sink.write(bytes('a'), () => told.push('a')),
      true,
    );
    assert.equal(
      sink.write(bytes('b'), () => told.push('b')),
      true,
    );
    sink.end();
    sink.end();
    assert.equal(sink.write(bytes('too late')), false);
    assert.deepEqual([passed, told], [['a'], []]);
    settle();
    assert.deepEqual([passed, told], [['a', 'b'], ['a']]);
    settle();
    assert.deepEqual(
      [passed, told],
      [
        ['a', 'b', 'END'],
        ['a', 'b'],
      ],
    );
    assert.deepEqual(heard, ['finish', 'close']);
  });

  test('asks for a pause when it holds enough, and drains when it holds nothing', () => {
    const { sink, heard, settle } = openSink(2);
    assert.equal(sink.write(bytes('a')), true);
    assert.equal(sink.write(bytes('b')), false);
    settle();
    assert.deepEqual(heard, []);
    assert.equal(sink.write(bytes('c')), false);
    settle();
    settle();
    assert.deepEqual(heard, ['drain']);
    assert.equal(sink.write(bytes('d')), true);
  });

  test('takes any number of chunks that are passed on at once', () => {
    let count = 0;
    const sink = new LightSink({
      ahead: 1,
      write: (_, done) => {
        count += 1;
        done();
      },
    });
    for (let at = 0; at < 100_000; at += 1) assert.equal(sink.write(bytes('a')), true);
    assert.equal(count, 100_000);
  });

  test('that fails says so once whoever writes is done, and takes no more', async () => {
    const { sink, passed, heard, settle } = openSink(10);
    const told: (string | undefined)[] = [];
    sink.write(bytes('a'), (error) => told.push(error?.message));
    sink.write(bytes('b'), (error) => told.push(error?.message));
    settle(new Error('broken'));
    assert.deepEqual(heard, []);
    assert.equal(sink.write(bytes('c')), false);
    sink.end();
    await setImmediate();
    assert.deepEqual([passed, heard, told], [['a'], ['broken', 'close'], ['broken']]);
  });
});

test('whatever is carried arrives whole and in order, however it is cut, held up and passed on', async () => {
  const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 30 });
  const waits = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(
      chunks,
      waits,
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 60 }),
      async (sent, waiting, sourceAhead, sinkAhead) => {
        const left = sent.map((chunk) => Buffer.from(chunk));
        let most = 0;
        let held = 0;
        const source = new LightSource(sourceAhead, (self) => {
          for (;;) {
            const chunk = left.shift();
            if (chunk === undefined) return self.finish();
            held += chunk.length;
            most = Math.max(most, held);
            if (!self.push(chunk)) return;
          }
        });
        const received: Buffer[] = [];
        let turn = 0;
        const sink = new LightSink({
          ahead: sinkAhead,
          write: (chunk, done) => {
            held -= chunk.length;
            received.push(Buffer.from(chunk));
            const wait = waiting[turn++ % waiting.length] as number;
            if (wait === 0) done();
            else if (wait === 1) queueMicrotask(done);
            else if (wait === 2) void setImmediate().then(() => done());
            else void sleep(1).then(() => done());
          },
        });
        const finished = once(sink, 'finish');
        source.once('end', () => sink.end());
        carry(source, sink);
        await finished;
        assert.deepEqual(Buffer.concat(received), Buffer.concat(sent));
        assert.ok(most <= sourceAhead + sinkAhead + 2 * 40, `${most} bytes held`);
      },
    ),
    { numRuns: caseCount(60) },
  );
});
