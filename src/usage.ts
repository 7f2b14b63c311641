/** What `--help` and `--version` of pine-rsh print. */
import { BUILD } from './build-info.ts';

export const USAGE = `usage: pine-rsh [-46dnKxqsv] [-l USER] [-p PORT] [-t SECONDS] [-o Key=Value]...
                [USER@]HOST [-l USER] [COMMAND ...]

An rsh that speaks SSH, for mail clients. HOST is an alias: a file hosts/HOST.env
in ~/.config/pine-rsh. Without COMMAND the alias's imapd is run; with
"sendmail ..." a message is read and given to the alias's sendmail.

  -4, -6          IPv4 or IPv6 only
  -l USER         log in as USER
  -p PORT         connect to PORT
  -t SECONDS      give up connecting after SECONDS
  -o Key=Value    ConnectTimeout, ServerAliveInterval, ServerAliveCountMax,
                  Compression, Share, Port, User; other keys are ignored
  -n              read no input
  -s              COMMAND is a subsystem, such as sftp
  -W HOST:PORT    pipe input and output to HOST:PORT, as seen from the alias
  -G              print the resolved alias; status 0 if HOST is one
  -d, -v          write details to the log
  --help, --version

For Alpine, in .pinerc:
  rsh-path=/absolute/path/pine-rsh
  rsh-open-timeout=15
  ssh-path=
  sendmail-path=/absolute/path/pine-rsh HOST sendmail -oi -t

pine-rshctl list shows the aliases, pine-rshctl log what happened.
`;

/** One line: the program, its build, its runtime. */
export function versionText(program: 'pine-rsh' | 'pine-rshctl'): string {
  const runtime = process.versions['bun']
    ? `bun ${process.versions['bun']}`
    : `node ${process.versions.node}`;
  return `${program} ${BUILD.version} (${BUILD.kind}, ${runtime}, ssh2 ${BUILD.ssh2})`;
}
