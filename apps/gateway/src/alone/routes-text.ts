import { createHash } from 'node:crypto'

/** One prefix and the addresses that answer it. */
export type FixedRoute = { readonly prefix: string; readonly service: string; readonly origins: readonly FixedOrigin[] }
/** An address; of the requests it gets a part by its weight, 1 unless the text says otherwise. */
export type FixedOrigin = { readonly url: URL; readonly weight: number }

const SEGMENT = /^[A-Za-z0-9_.~-]+$/
const MOST_ROUTES = 1_000
const LARGEST_WEIGHT = 1_000

/**
 * Reads a list of routes: `/feed=http://a:1*3,http://b:2`, separated by `;` or on lines of their own, where `#` begins a comment and `*3` is
 * the weight of an address. Each prefix makes a service named after it. Throws one line that names the first entry that does not fit and says what would.
 */
export function parseRoutes(text: string): FixedRoute[] {
  const entries = text
    .split(/[;\n]/)
    .map((entry) => before(entry, /(?:^|\s)#/).trim())
    .filter((entry) => entry !== '')
  if (entries.length === 0) throw new Error('there is no route: give one, as in /feed=http://127.0.0.1:9001')
  if (entries.length > MOST_ROUTES) throw new Error(`there are ${entries.length} routes, and ${MOST_ROUTES} at most`)
  const routes: FixedRoute[] = []
  for (const entry of entries) {
    const [prefix, origins] = splitEntry(entry)
    if (routes.some((route) => route.prefix === prefix))
      throw new Error(`route ${prefix} is there twice: give all its addresses in one, separated by commas`)
    routes.push({ prefix, service: serviceOf(prefix), origins })
  }
  return routes
}

function splitEntry(entry: string): [prefix: string, origins: FixedOrigin[]] {
  const equals = entry.indexOf('=')
  if (equals === -1) throw new Error(`route "${entry}" has no address: write it as /feed=http://127.0.0.1:9001`)
  const prefix = entry
    .slice(0, equals)
    .trim()
    .replace(/(?<=.)\/$/, '')
  if (!isPrefix(prefix))
    throw new Error(
      `route "${entry}" does not begin with a path: write it as /feed=… (segments of letters, digits and . _ ~ -)`
    )
  const origins = entry
    .slice(equals + 1)
    .split(',')
    .map((text) => originOf(prefix, text.trim()))
  const twice = origins.find((one, i) => origins.findIndex(({ url }) => url.origin === one.url.origin) !== i)
  if (twice !== undefined)
    throw new Error(`route ${prefix} names ${twice.url.origin} twice: give it a weight, as in ${twice.url.origin}*2`)
  return [prefix, origins]
}

/** No dot segments: no path that comes in has them. */
function isPrefix(text: string): boolean {
  const [before, ...segments] = text.split('/')
  return (
    before === '' && segments.length > 0 && segments.every((one) => SEGMENT.test(one) && one !== '.' && one !== '..')
  )
}

function originOf(prefix: string, text: string): FixedOrigin {
  const star = text.indexOf('*')
  const address = star === -1 ? text : text.slice(0, star).trim()
  const url = URL.parse(address)
  if (url === null || !/^https?:$/.test(url.protocol) || !/^https?:\/\//i.test(address))
    throw new Error(`route ${prefix} has "${text}", which is no address: write it as http://host:port or https://host`)
  if (url.username !== '' || url.password !== '')
    throw new Error(`route ${prefix} has a user in an address: leave it out, requests carry their own tokens`)
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '')
    throw new Error(`route ${prefix} has ${url.origin} with a path: leave it out, paths are passed on as they come`)
  return { url, weight: star === -1 ? 1 : weightOf(prefix, url, text.slice(star + 1).trim()) }
}

function weightOf(prefix: string, { origin }: URL, text: string): number {
  const weight = /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Number(text) : 0
  if (weight === 0 || weight > LARGEST_WEIGHT)
    throw new Error(
      `route ${prefix} has ${origin} with the weight "${text}": give a number above 0, up to ${LARGEST_WEIGHT}, as in ${origin}*3`
    )
  return weight
}

/**
 * `/v1/posts` → `v1-posts`: a name as services in the registry have it. It follows from the prefix alone, and no other prefix has it: what a
 * reload changes in the list never gives a name to another route.
 */
function serviceOf(prefix: string): string {
  const plain = /^\/[a-z]/.test(prefix) && /^(\/[a-z0-9]+(-+[a-z0-9]+)*)+$/.test(prefix) && prefix.length <= 48
  const words = prefix.slice(1).toLowerCase().replaceAll('-', '--').replaceAll('/', '-')
  if (plain) return words
  const digest = createHash('sha256').update(prefix).digest('hex').slice(0, 12)
  return `route-${words.replace(/[^a-z0-9]+/g, '-').slice(0, 40)}-${digest}`
}

function before(text: string, mark: RegExp): string {
  const at = text.search(mark)
  return at === -1 ? text : text.slice(0, at)
}
