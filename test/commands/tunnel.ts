/** The built-in IMAP server behind a command, as mail clients want their tunnel. */
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { serveImap } from '../../src/commands/demo/imap-server.ts';
import { MailStore } from '../../src/commands/demo/mail-store.ts';
import { writeSampleMessages } from '../../src/commands/demo/sample-messages.ts';
import { defer, type Scope } from '../helpers/scope.ts';
import { makeTempDir } from '../helpers/temp-dir.ts';

export interface ImapTunnel {
  readonly store: MailStore;
  /** An executable that connects its stdin and stdout to the server. */
  readonly command: string;
  readonly socket: string;
}

/** Serves the sample messages; every run of the command is a session on the same mailboxes. */
export async function openImapTunnel(scope: Scope): Promise<ImapTunnel> {
  const dir = makeTempDir(scope, 'tunnel');
  const store = new MailStore();
  for (const { raw, date } of writeSampleMessages(new Date())) store.find('INBOX')?.append(raw, [], date);
  const socket = join(dir, 'socket');
  const server = createServer({ allowHalfOpen: true }, (line) => {
    void serveImap(line, store).then(() => line.end());
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  defer(scope, () => new Promise((resolve) => server.close(resolve)));
  const command = join(dir, 'tunnel');
  const script = `const s = require('node:net').connect(${JSON.stringify(socket)});
process.stdin.on('error', () => {}).pipe(s).on('error', () => {}).pipe(process.stdout).on('error', () => {});
s.on('close', () => process.exit());
`;
  writeFileSync(`${command}.cjs`, script);
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${command}.cjs'\n`);
  chmodSync(command, 0o755);
  return { store, command, socket };
}
