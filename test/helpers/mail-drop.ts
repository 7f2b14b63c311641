/**
 * A stand-in for sendmail on a mail host: keeps every message it gets, whole or not, and does what it is told. Told by
 * files in the sessions' HOME, because it is a shell script like the real ones.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { giveTo } from './login-user.ts';
import type { RealSshd } from './real-sshd.ts';

export interface DroppedMail {
  readonly bytes: Buffer;
  readonly args: readonly string[];
}

export interface MailDrop {
  /** For SENDMAIL. */
  readonly program: string;
  /** In the order of arrival. */
  messages(): DroppedMail[];
  /** Shell lines to run once a message is read and before it counts as delivered; none: deliver all. */
  behave(lines: string | undefined): void;
  forget(): void;
}

/** The message is taken as it comes; its name, once complete, tells the order. */
const SCRIPT = `#!/bin/sh
d="$HOME/drop"
printf '%s\\0' "$@" >"$d/args.$$"
cat >"$d/new.$$"
if test -f "$d/behave"; then . "$d/behave"; fi
t=$(date +%s%N)
mv "$d/args.$$" "$d/a-$t.$$"
mv "$d/new.$$" "$d/m-$t.$$"
`;

/** Installs it on a server. */
export function openMailDrop(server: RealSshd): MailDrop {
  const dir = join(server.home, 'drop');
  const program = join(server.dir, 'sendmail');
  mkdirSync(dir);
  giveTo(server.login, dir);
  writeFileSync(program, SCRIPT, { mode: 0o755 });
  const behaviour = join(dir, 'behave');
  return {
    program,
    messages: () =>
      readdirSync(dir)
        .filter((name) => name.startsWith('m-'))
        .sort()
        .map((name) => ({
          bytes: readFileSync(join(dir, name)),
          args: readFileSync(join(dir, `a${name.slice(1)}`), 'utf8')
            .split('\0')
            .slice(0, -1),
        })),
    behave: (lines) => {
      if (lines !== undefined) writeFileSync(behaviour, lines, { mode: 0o644 });
      else if (existsSync(behaviour)) rmSync(behaviour);
    },
    forget: () => {
      for (const name of readdirSync(dir)) if (/^[am]-/.test(name)) rmSync(join(dir, name));
    },
  };
}
