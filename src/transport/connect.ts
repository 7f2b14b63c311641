/** An alias -> an authenticated connection: fills in what ssh_config adds, then asks the transport that the alias names. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Alias } from '../alias/alias.ts';
import { Failure } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { formatAddress } from './address.ts';
import { type DialContext, dial } from './dial.ts';
import { fillFromSshConfig } from './ssh-config.ts';
import type { Connection } from './transport.ts';

/** @throws {Failure} whatever keeps the connection from being made */
export async function connect(alias: Alias, context: DialContext): Promise<Connection> {
  const filled = await fillFromSshConfig(alias, context);
  if (filled.transport === 'openssh') {
    const { dialOpenSsh } = await import('./openssh.ts');
    return dialOpenSsh({ alias: filled, name: alias.hostname }, context);
  }
  try {
    return await dial(filled, context);
  } catch (error) {
    throw explainCertificate(error, filled, context.settings) ?? error;
  }
}

/** ssh2 knows no certificates: where one is at hand, it is the likely cure of a refused login. */
function explainCertificate(error: unknown, alias: Alias, settings: Settings): Failure | undefined {
  if (!(error instanceof Failure) || error.code !== 'login-refused') return undefined;
  const keys = alias.identityFiles ?? DEFAULT_KEYS.map((name) => join(settings.home, '.ssh', name));
  // ssh(1) finds them by this name without being told.
  const beside = keys.map((file) => `${file.replace(/\.pub$/, '')}-cert.pub`);
  const file = [...alias.certificateFiles, ...beside].find((path) => existsSync(path));
  if (file === undefined) return undefined;
  const address = formatAddress(alias.hostname, alias.port);
  return new Failure('certificate-not-offered', { address, user: alias.user, file }, { cause: error });
}

const DEFAULT_KEYS: readonly string[] = ['id_rsa', 'id_ecdsa', 'id_ed25519'];
