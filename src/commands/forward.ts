/**
 * `pine-rshctl forward ALIAS LPORT:HOST:PORT ...`: local ports that lead through the alias's host to servers of its
 * network, for what Pine reaches over TCP only (smtp-server, nntp-server). Unlike those of `ssh -L` they are closed to
 * every other user of this machine.
 */
import { Failure } from '../errors.ts';
import { type ForwardSpec, parseForwardSpec } from '../forward/forward-spec.ts';
import { type Listening, openListener } from '../forward/listen.ts';
import { canTellPeers } from '../forward/peer.ts';
import { type ForwardRecord, formatForward, openRecord } from '../forward/record.ts';
import { type RelayContext, relay } from '../forward/relay.ts';
import { Log } from '../log.ts';
import type { Settings } from '../settings.ts';
import { wrapText } from '../terminal-columns.ts';
import { escapeForTerminal } from '../terminal-text.ts';
import { formatAddress } from '../transport/address.ts';
import { declareCommand } from './command.ts';
import { findAlias } from './find-alias.ts';
import { exitStatus, withInterrupt } from './interrupt.ts';
import { type Output, printLines, printProblem } from './output.ts';

export const forwardCommand = declareCommand({
  name: 'forward',
  summary: 'open local ports to mail and news servers behind an alias',
  operands: {
    alias: { kind: 'required', summary: 'the alias whose host connects onwards' },
    forward: {
      kind: 'several',
      summary:
        'LPORT:HOST:PORT or /path/socket:HOST:PORT; /smtp, /nntp or /any behind it says who speaks first',
    },
  },
  options: {
    'any-local-user': { kind: 'switch', summary: 'let in every user of this machine' },
  },
  examples: [
    ['work 2025:mail:25', 'for Pine: smtp-server=localhost:2025'],
    ['work 2119:news:119', 'for Pine: nntp-server=localhost:2119'],
    ['work ~/.mail/smtp:mail:25', 'a socket, for clients that can use one'],
    ['work 2026:mail:10025/smtp', 'SMTP on an unusual port'],
  ],
  run: async ({ settings, output }, args) => await runForward(settings, args, output),
});

export interface ForwardOptions {
  readonly alias: string;
  readonly forward: readonly string[];
  readonly 'any-local-user': boolean;
}

/**
 * Listens until a signal ends it; returns 128 and the signal's number.
 *
 * @throws {Failure} `usage`, `forward-as-root`, `forward-peers-unknown`, what is wrong with the alias, and what keeps
 *   us from listening
 */
export async function runForward(
  settings: Settings,
  options: ForwardOptions,
  output: Output,
): Promise<number> {
  const specs = options.forward.map(parseForwardSpec);
  refuseTwice(specs);
  // Root's own connections are those of every daemon, and what it listens on looks like the system's.
  if (settings.uid === 0) throw new Failure('forward-as-root', {});
  const word = options.alias;
  const { alias } = findAlias(settings, word);
  const hasPorts = specs.some(({ listen }) => listen.kind === 'port');
  const anyUser = options['any-local-user'];
  if (hasPorts && !anyUser && !(await canTellPeers(settings.uid)))
    throw new Failure('forward-peers-unknown', {});
  return await withInterrupt(output, async (signal) => {
    const forwarder = new Forwarder(specs, signal, {
      settings,
      log: new Log(settings.stateDir, 0),
      name: alias.name,
      findAlias: () => findAlias(settings, word).alias,
      checkPeer: !anyUser,
      onRefused: (why) => printProblem(output, why, undefined),
    });
    try {
      await forwarder.open();
      printStarted(output, forwarder.record(), anyUser && hasPorts);
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener('abort', () => resolve(), { once: true });
      });
      return exitStatus(signal);
    } finally {
      await forwarder.close();
    }
  });
}

function refuseTwice(specs: readonly ForwardSpec[]): void {
  const places = specs.map(({ listen }) => (listen.kind === 'port' ? String(listen.port) : listen.path));
  const twice = places.find((place, at) => places.indexOf(place) !== at);
  if (twice !== undefined) throw new Failure('usage', { problem: `${twice} is to lead to two places` });
}

/** All listeners and connections of one run. */
class Forwarder {
  readonly #specs: readonly ForwardSpec[];
  readonly #context: RelayContext;
  readonly #signal: AbortSignal;
  readonly #listening: Listening[] = [];
  readonly #connections = new Set<Promise<void>>();
  readonly #startedAt = performance.now();
  #served = 0;
  #refused = 0;
  #record: { close(): void } | undefined;

  constructor(specs: readonly ForwardSpec[], signal: AbortSignal, context: RelayContext) {
    this.#specs = specs;
    this.#signal = signal;
    const onRefused = (why: string): void => {
      this.#refused += 1;
      context.onRefused(why);
    };
    this.#context = { ...context, onRefused };
  }

  async open(): Promise<void> {
    const { settings } = this.#context;
    for (const spec of this.#specs) {
      const listening = await openListener(spec, settings.uid, (socket) => {
        const connection = relay(socket, spec, this.#context, this.#signal);
        this.#served += 1;
        this.#connections.add(connection);
        void connection.finally(() => this.#connections.delete(connection));
      });
      this.#listening.push(listening);
    }
    this.#record = await openRecord(settings, () => this.record());
  }

  record(): ForwardRecord {
    return {
      alias: this.#context.name,
      pid: process.pid,
      age_s: Math.round((performance.now() - this.#startedAt) / 1000),
      open: this.#connections.size,
      served: this.#served - this.#refused,
      refused: this.#refused,
      forwards: this.#specs.map(({ host, port, dialogue }, at) => ({
        listen: this.#listening[at]?.addresses ?? [],
        target: formatAddress(host, port),
        dialogue,
      })),
    };
  }

  async close(): Promise<void> {
    this.#record?.close();
    for (const listening of this.#listening) listening.close();
    await Promise.all(this.#connections);
  }
}

function printStarted(output: Output, { alias, forwards }: ForwardRecord, open: boolean): void {
  for (const each of forwards) {
    const text = `${alias}: ${formatForward(each)}`;
    printLines(output, wrapText(escapeForTerminal(text), output.columns));
  }
  const who = open ? 'every user of this machine can connect' : 'only you can connect';
  printLines(output, wrapText(`${who}; Ctrl-C ends it`, output.columns));
}
