import { BlockList, isIP, isIPv6 } from 'node:net'
import type { Incoming } from './visit.ts'

/** A set of networks. */
export type Networks = { readonly empty: boolean; has(address: string): boolean }

/** Reads comma-separated addresses and CIDRs. Throws a line that names the first bad one. */
export function parseNetworks(text: string, name: string): Networks {
  const list = new BlockList()
  const parts = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '') // prettier than a regular expression
  for (const part of parts) {
    const [address = '', bits] = part.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    const width = family === 'ipv6' ? 128 : 32
    const prefix = bits === undefined ? width : Number(bits)
    if (isIP(address) === 0 || bits === '' || !Number.isInteger(prefix) || prefix < 0 || prefix > width) {
      throw new Error(`Bad configuration: ${name} has ${JSON.stringify(part)}, which is neither an address nor a CIDR`)
    }
    list.addSubnet(address, prefix, family)
  }
  return {
    empty: parts.length === 0,
    has: (address) => parts.length > 0 && isIP(address) !== 0 && list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
  }
}

/**
 * The address a request came from. `X-Forwarded-For` is read from its end, and only as far as every hop is a trusted proxy: what a
 * client wrote itself stays unread.
 */
export function clientAddress(raw: Incoming, trusted: Networks): string {
  let address = plain(raw.socket.remoteAddress ?? '')
  if (trusted.empty || !trusted.has(address)) return address
  const header = raw.headers['x-forwarded-for']
  const hops = typeof header === 'string' ? header.split(',') : []
  while (trusted.has(address)) {
    const hop = plain(hops.pop()?.trim() ?? '')
    if (isIP(hop) === 0) break
    address = hop
  }
  return address
}

/** `https` when this connection is encrypted, or a trusted proxy says that its own was. */
export function clientProtocol(raw: Incoming, trusted: Networks): 'http' | 'https' {
  if (raw.socket.encrypted === true) return 'https'
  const told = raw.headers['x-forwarded-proto']
  return told === 'https' && !trusted.empty && trusted.has(plain(raw.socket.remoteAddress ?? '')) ? 'https' : 'http'
}

/** Whom a limit by address counts: an IPv4 address, or the /64 that one IPv6 customer has. */
export function limitedAddress(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('%')[0]?.split('::') ?? []
  const groups = head === '' ? [] : head.split(':')
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length)
  const all = [...groups, ...Array.from({ length: missing }, () => '0'), ...(tail ? tail.split(':') : [])]
  return `${all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::`
}

function plain(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
