import { BlockList, isIP, isIPv6 } from 'node:net'
import { copied } from '../copied.ts'
import type { Incoming } from './visit.ts'

/** A set of networks. */
export type Networks = { readonly empty: boolean; has(address: string): boolean }

/** Proxies that one request may have come through; a longer list is read no further. */
const MAX_HOPS = 16
/** The longest hop that can be an address with brackets, a zone and a port. */
const LONGEST_HOP = 80
/** Addresses about which a decision is remembered; when there are as many, all are forgotten. */
const REMEMBERED = 1_000

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
  // A look into the list costs more than all else that is done with an address, and the same few come again and again.
  const has = remembered((address) => isIP(address) !== 0 && list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4'))
  return { empty: parts.length === 0, has: (address) => parts.length > 0 && has(address) }
}

/**
 * The address a request came from. `X-Forwarded-For` is read from its end, and only as far as every hop is a trusted proxy: what a
 * client wrote itself stays unread. Where a trusted proxy names no address (`unknown`, an identifier), the hop before it counts.
 */
export function clientAddress(raw: Incoming, trusted: Networks): string {
  let address = plain(raw.socket.remoteAddress ?? '')
  if (trusted.empty || !trusted.has(address)) return address
  const header = raw.headers['x-forwarded-for']
  if (typeof header !== 'string') return address
  let end = header.length
  for (let hop = 0; hop < MAX_HOPS && end > 0 && trusted.has(address); hop++) {
    const comma = header.lastIndexOf(',', end - 1)
    const named = end - comma > LONGEST_HOP ? '' : forwardedAddress(header.slice(comma + 1, end).trim())
    if (named === '') break
    address = named
    end = comma
  }
  // A client writes most of this header.
  return header.length > LONGEST_HOP ? copied(address) : address
}

/** `https` when this connection is encrypted, or a trusted proxy says that its own was. */
export function clientProtocol(raw: Incoming, trusted: Networks): 'http' | 'https' {
  if (raw.socket.encrypted === true) return 'https'
  const told = raw.headers['x-forwarded-proto']
  return told === 'https' && !trusted.empty && trusted.has(plain(raw.socket.remoteAddress ?? '')) ? 'https' : 'http'
}

/** Whom a limit by address counts: an IPv4 address, or the /64 that one IPv6 customer has. */
export function limitedAddress(address: string): string {
  return address.includes(':') ? network64(address) : address
}

const network64 = remembered((address: string): string => {
  const bare = plain(address)
  if (!bare.includes(':')) return bare
  const [head = '', tail] = bare.split('::')
  const before = groupsOf(head)
  const after = groupsOf(tail ?? '')
  const all = [...before, ...Array.from({ length: 8 - before.length - after.length }, () => '0'), ...after]
  return `${all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::`
})

/** The groups of one side of `::`; an IPv4 address at the end stands for two, which no /64 has. */
function groupsOf(side: string): string[] {
  return side === '' ? [] : side.split(':').flatMap((group) => (group.includes('.') ? ['0', '0'] : [group]))
}

/** The address of a hop as proxies write it: bare, or with a port, an IPv6 address then in brackets. Empty if there is none. */
function forwardedAddress(hop: string): string {
  let address = hop
  if (hop[0] === '[') address = /^\[([^\]]*)\](:\d{1,5})?$/.exec(hop)?.[1] ?? ''
  else if (hop.includes('.') && hop.indexOf(':') === hop.lastIndexOf(':')) address = hop.replace(/:\d{1,5}$/, '')
  return isIP(address) === 0 ? '' : plain(address)
}

/** Without a zone, and an IPv4 address that came through an IPv6 socket as what it is, however it is spelt. */
function plain(address: string): string {
  if (!address.includes(':')) return address
  const zone = address.indexOf('%')
  const bare = zone === -1 ? address : address.slice(0, zone)
  return mappedTail(bare) ?? bare
}

const MAPPED = /^(?:0{0,4}:){2,6}ffff:(?:(\d+\.\d+\.\d+\.\d+)|([\da-f]{1,4}):([\da-f]{1,4}))$/i

function mappedTail(address: string): string | undefined {
  const [, dotted, high, low] = MAPPED.exec(address) ?? []
  if (high === undefined || low === undefined) return dotted
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)]
  return `${a >> 8}.${a & 255}.${b >> 8}.${b & 255}`
}

function remembered<V>(work: (text: string) => V): (text: string) => V {
  const known = new Map<string, V>()
  return (text) => {
    let value = known.get(text)
    if (value === undefined) {
      if (known.size >= REMEMBERED) known.clear()
      value = work(text)
      known.set(text, value)
    }
    return value
  }
}
