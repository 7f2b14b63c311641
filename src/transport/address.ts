/** How an address is written in messages: `mail.example.org:22`, `[::1]:22`. */
export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
