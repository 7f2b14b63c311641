/**
 * The keys to log in with, in the order to offer them: the one that worked last time, files named by IDENTITY_FILE
 * (the user chose them, and servers count refused keys), then the agent's others; without IDENTITY_FILE the agent's
 * first, then OpenSSH's default names, as ssh(1) does.
 */
import { join } from 'node:path';
import type { Alias } from '../alias/alias.ts';
import { Failure, toError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Settings } from '../settings.ts';
import { formatAddress } from './address.ts';
import { type AgentKey, listAgentKeys } from './agent.ts';
import type { Attempt } from './attempt.ts';
import { formatFingerprint } from './host-key.ts';
import { type KeyFile, type LockedKeyFile, readKeyFile } from './key-file.ts';
import { KeyMemory, type RememberedKey } from './key-memory.ts';
import type { Prompt } from './prompt.ts';
import { agentIdentity, type Identity, lockedIdentity, openIdentity } from './signing-key.ts';

/** The default names of ssh_config(5) IdentityFile that are no FIDO keys; those come from the agent. */
const DEFAULT_NAMES: readonly string[] = ['id_rsa', 'id_ecdsa', 'id_ed25519'];

/** Absolute paths of the keys that hold without IDENTITY_FILE; they need not exist. */
export function defaultIdentityFiles(home: string): string[] {
  return DEFAULT_NAMES.map((name) => join(home, '.ssh', name));
}

/**
 * Reads the key files, and asks the agent if it comes first.
 *
 * @throws {Failure} `identity-missing`, `identity-not-a-key`, `identity-unsupported`, `file-unreadable`,
 *   `file-untrusted`, `file-unusable` for a file that IDENTITY_FILE names; one of a default name is left out, and is
 *   the reason only if no other key gets in
 */
export function loadIdentities(alias: Alias, context: IdentityContext): Identities {
  const { settings, log } = context;
  const named = alias.identityFiles !== undefined;
  const unusable: Failure[] = [];
  const files = (alias.identityFiles ?? defaultIdentityFiles(settings.home)).flatMap((file) => {
    try {
      return [readKeyFile(file, settings.uid)];
    } catch (error) {
      if (named || !(error instanceof Failure)) throw error;
      if (error.code === 'identity-missing') return [];
      log.record('key-skipped', { file, why: error.message });
      // What is no key is not missed.
      if (error.code !== 'identity-not-a-key') unusable.push(error);
      return [];
    }
  });
  return new Identities(alias, context, files, unusable);
}

export interface IdentityContext {
  readonly settings: Settings;
  readonly log: Log;
  /** Asks a person for a passphrase; mail streams have none. */
  readonly prompt?: Prompt | undefined;
}

/** A key and one way to sign with it. */
export interface Offer {
  readonly identity: Identity;
  readonly algorithm: string;
  /** It got in the last time. */
  readonly worked: boolean;
}

export class Identities {
  /** Why keys could not be used; raised when no other key gets in. */
  readonly unusable: Failure[];
  readonly #alias: Alias;
  readonly #context: IdentityContext;
  readonly #files: readonly KeyFile[];
  readonly #memory: KeyMemory;
  #remembered: RememberedKey | undefined;
  #agentKeys: Promise<readonly AgentKey[]> | undefined;

  constructor(alias: Alias, context: IdentityContext, files: readonly KeyFile[], unusable: Failure[]) {
    this.unusable = unusable;
    this.#alias = alias;
    this.#context = context;
    this.#files = files;
    const server = `${alias.user}@${formatAddress(alias.hostname, alias.port)}`;
    this.#memory = new KeyMemory(context.settings.stateDir, server);
    this.#remembered = this.#memory.recall();
    // It answers while the network works.
    if (alias.identityFiles === undefined) void this.#askAgent();
  }

  /**
   * One key after the other, each once; behind each group of keys the other ways in which RSA keys of that group can
   * sign: a server may know one of them and not allow it, and servers count tries. A key whose public half nobody knows
   * is unlocked here, so that this may wait for a person.
   */
  async *listOffers(attempt: Attempt): AsyncGenerator<Offer, void> {
    const given = new Set<string>();
    let again: Offer[] = [];
    for await (const identity of this.#listRemembered(attempt)) {
      given.add(identity.fingerprint);
      const first = this.#remembered?.algorithm ?? '';
      yield { identity, algorithm: first, worked: true };
      const others = identity.algorithms.filter((each) => each !== first);
      again.push(...others.map((algorithm) => ({ identity, algorithm, worked: false })));
    }
    for (const group of this.#listGroups(attempt)) {
      let offered = false;
      for await (const identity of group) {
        if (given.has(identity.fingerprint)) continue;
        given.add(identity.fingerprint);
        offered = true;
        const [first, ...more] = identity.algorithms as [string, ...string[]];
        yield { identity, algorithm: first, worked: false };
        again.push(...more.map((algorithm) => ({ identity, algorithm, worked: false })));
      }
      if (!offered) continue;
      yield* again;
      again = [];
    }
    yield* again;
  }

  /** To be told what got in, and whether it was the first offer. What is first anyway, and free to try, is not written down. */
  learn({ identity, algorithm }: Offer, wasFirst: boolean): void {
    const { fingerprint } = identity;
    const known = this.#remembered;
    const same = known?.fingerprint === fingerprint && known.algorithm === algorithm;
    if (same || (wasFirst && known === undefined && identity.signsFreely)) return;
    this.#remembered = { fingerprint, algorithm };
    this.#memory.learn(this.#remembered);
  }

  #listGroups(attempt: Attempt): AsyncGenerator<Identity, void>[] {
    const files = this.#listFiles(attempt);
    return this.#alias.identityFiles === undefined
      ? [this.#listHeld(), this.#listAgent(), files]
      : [files, this.#listAgent()];
  }

  /** The key that worked last, if it is there still. */
  async *#listRemembered(attempt: Attempt): AsyncGenerator<Identity, void> {
    const { fingerprint, algorithm } = this.#remembered ?? {};
    if (fingerprint === undefined || algorithm === undefined) return;
    const file = this.#files.find((each) => fingerprintOf(each) === fingerprint);
    const places = file === undefined ? this.#listAgent() : this.#fromFile(file, attempt);
    for await (const identity of places) {
      if (identity.fingerprint === fingerprint && identity.algorithms.includes(algorithm)) yield identity;
    }
  }

  async *#listFiles(attempt: Attempt): AsyncGenerator<Identity, void> {
    for (const file of this.#files) yield* this.#fromFile(file, attempt);
  }

  /** Keys of the agent that have a file here too. */
  async *#listHeld(): AsyncGenerator<Identity, void> {
    for (const file of this.#files) {
      const held = await this.#findHeld(file);
      if (held !== undefined) yield held;
    }
  }

  async *#listAgent(): AsyncGenerator<Identity, void> {
    if (this.#alias.identitiesOnly) return;
    for (const key of await this.#askAgent()) {
      const identity = agentIdentity(`${key.comment || key.type} (agent)`, key);
      if (identity !== undefined) yield identity;
      else
        this.#context.log.record('key-skipped', {
          key: key.comment,
          type: key.type,
          why: 'its type is not known',
        });
    }
  }

  async *#fromFile(file: KeyFile, attempt: Attempt): AsyncGenerator<Identity, void> {
    if (file.kind === 'open') {
      yield openIdentity(this.#label(file), file.key);
      return;
    }
    const held = await this.#findHeld(file);
    if (held !== undefined) yield held;
    else if (file.kind === 'public') this.#skip(file.failure);
    else yield* this.#unlock(file, attempt);
  }

  async *#unlock(file: LockedKeyFile, attempt: Attempt): AsyncGenerator<Identity, void> {
    const alias = this.#alias;
    const { settings, log, prompt } = this.#context;
    const sources = [alias.passphraseCommand, settings.askpass, prompt];
    if (sources.every((source) => source === undefined)) {
      this.#skip(new Failure('identity-encrypted', { file: file.file, alias: alias.name }));
      return;
    }
    const label = this.#label(file);
    const unlock = async ({ signal }: Attempt) => {
      const { unlockKey } = await import('./passphrase.ts');
      return unlockKey(file, { alias, settings, log, prompt, signal });
    };
    const lazy = file.publicBlob && lockedIdentity(label, file.publicBlob, unlock);
    if (lazy !== undefined) {
      yield lazy;
      return;
    }
    try {
      yield openIdentity(label, await attempt.waitForPerson(() => unlock(attempt)));
    } catch (error) {
      this.skip(error);
    }
  }

  /** Notes why a key is of no use. */
  skip(error: unknown): void {
    if (error instanceof Failure) this.#skip(error);
    else this.#context.log.record('key-skipped', { why: toError(error).message });
  }

  #skip(failure: Failure): void {
    this.unusable.push(failure);
    this.#context.log.record('key-skipped', { code: failure.code, why: failure.message });
  }

  async #findHeld(file: KeyFile): Promise<Identity | undefined> {
    const fingerprint = fingerprintOf(file);
    if (fingerprint === undefined) return undefined;
    const keys = await this.#askAgent();
    const key = keys.find(({ blob }) => formatFingerprint(blob) === fingerprint);
    return key && agentIdentity(`${this.#label(file)} (agent)`, key);
  }

  #askAgent(): Promise<readonly AgentKey[]> {
    this.#agentKeys ??= this.#listAgentKeys();
    return this.#agentKeys;
  }

  async #listAgentKeys(): Promise<readonly AgentKey[]> {
    const socket = agentSocketOf(this.#alias, this.#context.settings);
    if (socket === undefined) return [];
    const answer = await listAgentKeys(socket);
    if (answer.keys !== undefined) return answer.keys;
    this.#context.log.record('agent-skipped', { socket, why: answer.why });
    return [];
  }

  /** `/home/pat/.ssh/id_ed25519` -> `~/.ssh/id_ed25519`; messages have little room. */
  #label({ file }: KeyFile): string {
    const { home } = this.#context.settings;
    return file.startsWith(`${home}/`) ? `~${file.slice(home.length)}` : file;
  }
}

/** Undefined: no agent is asked. */
export function agentSocketOf({ identityAgent }: Alias, settings: Settings): string | undefined {
  return identityAgent === 'none' ? undefined : (identityAgent ?? settings.agentSocket);
}

function fingerprintOf(file: KeyFile): string | undefined {
  const blob = file.kind === 'open' ? file.key.getPublicSSH() : file.publicBlob;
  return blob && formatFingerprint(blob);
}
