/** Keys in ssh-agent (draft-miller-ssh-agent). One key at a time, so that the login can say what it tried. */
import ssh2 from 'ssh2';
import { AGENT_ANSWER_MS } from '../limits.ts';

const { BaseAgent, createAgent, utils } = ssh2;

/** A public key that the agent can sign with. */
export interface AgentKey {
  /** SSH wire format (RFC 4253 section 6.6). */
  readonly blob: Buffer;
  readonly comment: string;
  readonly type: string;
  /** Gives ssh2 exactly this key. */
  readonly agent: InstanceType<typeof BaseAgent>;
}

/** The keys behind a socket; undefined with the reason when nobody answers there (a stale SSH_AUTH_SOCK). */
export async function listAgentKeys(
  socketPath: string,
): Promise<{ keys: readonly AgentKey[] } | { keys: undefined; why: string }> {
  const agent = createAgent(socketPath);
  try {
    const found = await new Promise<unknown[]>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no answer')), AGENT_ANSWER_MS);
      agent.getIdentities((error, keys) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve((keys ?? []) as unknown[]);
      });
    });
    return { keys: found.flatMap((key) => toAgentKey(key, agent)) };
  } catch (error) {
    return { keys: undefined, why: error instanceof Error ? error.message : String(error) };
  }
}

function toAgentKey(found: unknown, agent: InstanceType<typeof BaseAgent>): AgentKey[] {
  // ssh2 gives parsed keys, or raw blobs of types it does not know (FIDO, certificates): those it cannot use.
  const parsed = utils.parseKey(found as Buffer);
  if (parsed instanceof Error) return [];
  return [
    {
      blob: parsed.getPublicSSH(),
      comment: parsed.comment,
      type: parsed.type,
      agent: new SingleKeyAgent(agent, parsed),
    },
  ];
}

class SingleKeyAgent extends BaseAgent<ssh2.ParsedKey> {
  readonly #agent: InstanceType<typeof BaseAgent>;
  readonly #key: ssh2.ParsedKey;

  constructor(agent: InstanceType<typeof BaseAgent>, key: ssh2.ParsedKey) {
    super();
    this.#agent = agent;
    this.#key = key;
  }

  override getIdentities(callback: ssh2.IdentityCallback<ssh2.ParsedKey>): void {
    callback(undefined, [this.#key]);
  }

  override sign(
    key: ssh2.ParsedKey,
    data: Buffer,
    options: ssh2.SigningRequestOptions | ssh2.SignCallback,
    callback?: ssh2.SignCallback,
  ): void {
    if (typeof options === 'function') this.#agent.sign(key, data, options);
    else this.#agent.sign(key, data, options, callback);
  }
}
