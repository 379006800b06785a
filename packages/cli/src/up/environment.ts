import { lookup } from 'node:dns/promises'
import { join } from 'node:path'
import { ALLOCATOR } from '@skerry/service/allocator'
import { listenFault } from './address.ts'

/** Where an app finds its own stores and itself is said by `up` alone; the rest of our environment holds its settings. */
const OWN =
  /^(MONGO_URL|MONGO_DATABASE|NATS_\w+|REDIS_\w+|AUTH_SIGNING_KEY|HOST|PORT|OPS_HOST|OPS_PORT|ADVERTISE_\w+|API_URL|API_FROM|ROUTES|ROUTES_FILE|SKERRY_\w+)$/

/** Those of them that mean something to an app and nothing to `up`: each instance has its own. */
const IGNORED: Readonly<Record<string, string>> = {
  MONGO_DATABASE: 'each service has its own',
  NATS_USER: 'each service has its own; those of another NATS belong into NATS_URL',
  NATS_PASSWORD: 'each service has its own; those of another NATS belong into NATS_URL',
  REDIS_PREFIX: 'each service has its own',
  AUTH_SIGNING_KEY: 'it is in secrets.json',
  OPS_HOST: 'operations ports are for this machine alone',
  OPS_PORT: 'each instance takes a free one',
  ADVERTISE_URL: 'each instance has its own',
  ADVERTISE_OPS_URL: 'each instance has its own',
  API_URL: 'it is the gateway that is started',
  API_FROM: 'it is an address that the gateway trusts',
  ROUTES: 'services announce theirs; a fixed list is for `./skerry gateway`',
  ROUTES_FILE: 'services announce theirs; a fixed list is for `./skerry gateway`',
  SKERRY_INSTANCE: 'each instance has its own',
  SKERRY_VERSION: 'it is that of each package.json'
}

/** The settings of apps that every process of `up` gets from the environment of `up`, with the defaults of a system on one machine. */
export function inherited(home: string, environment: NodeJS.ProcessEnv): Record<string, string> {
  const env: Record<string, string> = {
    NODE_COMPILE_CACHE: join(home, 'cache', 'node'),
    ...ALLOCATOR,
    // All stop together, so there is nobody left to use them.
    IDLE_KEPT_MS: '0'
  }
  for (const [name, value] of Object.entries(environment)) if (value !== undefined && !OWN.test(name)) env[name] = value
  return env
}

/** What calls the gateway from this machine on behalf of others (conduit) does so from here, and nothing else does. */
const CALLER = '127.0.0.2'

/**
 * How the gateway knows services that call it on behalf of others: they come from an address of their own on the loopback interface, and of
 * that one alone it believes `X-Forwarded-For`. Trusting all of 127.0.0.0/8 would let a proxy on this machine take the limits by address off
 * everybody behind it.
 *
 * Where that cannot be, a service that calls is one address: an IPv6 gateway is reached from no IPv4 address, also when its name is what leads to
 * one (`localhost` does on many systems), and macOS has none of 127.0.0.0/8 but 127.0.0.1.
 *
 * @param apiUrl the gateway's
 */
export async function callers(
  apiUrl: string,
  environment: NodeJS.ProcessEnv,
  caller = CALLER
): Promise<{ service: object; gateway: object }> {
  const { family } = await lookup(new URL(apiUrl).hostname.replace(/^\[|\]$/g, ''))
  if (family !== 4 || (await listenFault(caller, 0)) !== undefined) return { service: {}, gateway: {} }
  const trusted = [environment.TRUSTED_PROXIES, `${caller}/32`].filter(Boolean)
  return { service: { API_FROM: caller }, gateway: { TRUSTED_PROXIES: trusted.join(',') } }
}

/** A line that names the variables that are set and not passed on, with the reason; undefined when there is none. */
export function ignoredLine(environment: NodeJS.ProcessEnv): string | undefined {
  const set = Object.entries(IGNORED).filter(([name]) => environment[name])
  if (set.length === 0) return undefined
  return `not passed on from the environment: ${set.map(([name, why]) => `${name} (${why})`).join(', ')}`
}
