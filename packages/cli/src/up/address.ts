import { lookup } from 'node:dns/promises'
import { createServer, isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { freePort, StartError } from '@skerry/stores'

/** Where the gateway's public port is. */
export type PublicAddress = {
  /** What it listens on. */
  host: string
  port: number
  /** Its URL for this machine: the other parts, `./skerry status`, the line to paste. */
  url: string
}

const EVERY_ADDRESS = new Set(['0.0.0.0', '::'])
const ATTEMPTS = 20

/**
 * Decides where the gateway listens, by HOST and PORT, and makes sure that it can, before anything starts. Throws one line that says what to
 * set instead.
 */
export async function publicAddress(env: NodeJS.ProcessEnv): Promise<PublicAddress> {
  const host = env.HOST || '127.0.0.1'
  const wanted = portOf(env.PORT)
  if (host.includes('%'))
    throw new StartError(`HOST=${host} has a zone, which no URL can have: set HOST=:: to listen on every address`)
  await resolves(host)
  // Of the system's free ports one may be taken on another address than ours.
  for (let attempt = 1; ; attempt++) {
    const port = wanted === 0 ? await freePort() : wanted
    const fault = await listenFault(host, port)
    if (fault === undefined) return { host, port, url: `http://${localHost(host)}:${port}` }
    if (fault.code === 'EADDRINUSE' && wanted === 0 && attempt < ATTEMPTS) continue
    throw new StartError(
      fault.code === 'EADDRINUSE'
        ? `port ${port} is in use: set PORT to another (PORT=0 picks a free one)`
        : fault.code === 'EACCES'
          ? `port ${port} may not be taken by this user: set PORT to one above 1023`
          : noAddress(host)
    )
  }
}

/** URLs by which others on the same network reach the gateway, each with the network interface that has it; none when only this machine does. */
export function networkUrls(
  { host, port }: Pick<PublicAddress, 'host' | 'port'>,
  interfaces = networkInterfaces()
): { url: string; name: string }[] {
  const all = Object.entries(interfaces).flatMap(([name, found = []]) => found.map((one) => ({ ...one, name })))
  return all
    .filter(({ internal, address, family }) => {
      // A link-local address means something only together with an interface.
      if (internal || /^fe[89ab]/i.test(address)) return false
      return host === '::' || (host === '0.0.0.0' ? family === 'IPv4' : address === host)
    })
    .map(({ name, address }) => ({ name, url: `http://${inUrl(address)}:${port}` }))
}

/** What `up` says of being reached from elsewhere; nothing when it listens for this machine alone. */
export function networkLines(address: PublicAddress): string[] {
  const urls = networkUrls(address)
  if (urls.length > 0)
    return ['On the same network (a phone, say):', ...urls.map(({ url, name }) => `  ${url}  (${name})`)]
  return EVERY_ADDRESS.has(address.host)
    ? ['This machine has no address on a network now: only it reaches the gateway.']
    : []
}

function portOf(text = '8080'): number {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port > 65_535) throw new StartError(`PORT=${text} is not a port (0 … 65535)`)
  return port
}

/** Who listens on every address is reached on the loopback one. */
function localHost(host: string): string {
  return EVERY_ADDRESS.has(host) ? '127.0.0.1' : inUrl(host)
}

function inUrl(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host
}

async function resolves(host: string): Promise<void> {
  if (isIP(host) !== 0) return
  await lookup(host).catch(() => {
    throw new StartError(noAddress(host))
  })
}

function noAddress(host: string): string {
  const addresses = networkUrls({ host: '::', port: 0 }).map(({ url }) => new URL(url).hostname.replace(/^\[|\]$/g, ''))
  return `HOST=${host} is no address of this machine (${['127.0.0.1', ...addresses].join(', ')}): set one of these, or 0.0.0.0 or :: for all`
}

/** Why a port of an address cannot be listened on; undefined when it can. */
export async function listenFault(host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', resolve)
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}
