/**
 * Who is at the other end of a connection that came in over loopback? Every user of this machine can open one, and only
 * our own may go on.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { PEER_LOOK_WAIT_MS, PEER_LOOKS } from '../limits.ts';
import { findSocketOwner, readSocketTables } from './socket-table.ts';

/** The uid that a user namespace shows for every user it does not know (user_namespaces(7)). */
const UNKNOWN_UID = 65_534;

/** The uid of the connection's other end; undefined if that cannot be told. The socket must be being read. */
export async function readPeerUid(socket: Socket): Promise<number | undefined> {
  const { localAddress, localPort, remoteAddress, remotePort } = socket;
  // Of a socket that is closed already nothing is known.
  if (!localAddress || !localPort || !remoteAddress || !remotePort) return undefined;
  const client = { address: remoteAddress, port: remotePort };
  const server = { address: localAddress, port: localPort };
  let uid: number | undefined;
  // The tables are no snapshot: a row may be missed while others come and go.
  for (let looks = 0; uid === undefined && looks < PEER_LOOKS && !socket.destroyed; looks += 1) {
    if (looks > 0) await sleep(PEER_LOOK_WAIT_MS);
    uid = findSocketOwner(await readSocketTables(), client, server);
  }
  // A stranger's connection that was reset may have left its port to one of ours; its end is heard in the next turn.
  await turn();
  await turn();
  return socket.destroyed || uid === UNKNOWN_UID ? undefined : uid;
}

/** Tries on a connection of our own whether this machine tells whose one is. */
export async function canTellPeers(uid: number): Promise<boolean> {
  const server = createServer();
  let client: Socket | undefined;
  let accepted: Socket | undefined;
  try {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const incoming = once(server, 'connection');
    client = connect(port, '127.0.0.1');
    client.on('error', () => {});
    accepted = (await incoming)[0] as Socket;
    accepted.on('error', () => {});
    return (await readPeerUid(accepted.resume())) === uid;
  } catch {
    return false;
  } finally {
    client?.destroy();
    accepted?.destroy();
    server.close();
  }
}
