import { join } from 'node:path'

/** Where an app finds its own stores and itself is said by `up` alone; the rest of our environment holds its settings. */
const OWN =
  /^(MONGO_URL|MONGO_DATABASE|NATS_\w+|REDIS_\w+|AUTH_SIGNING_KEY|HOST|PORT|OPS_HOST|OPS_PORT|ADVERTISE_\w+|API_URL|ROUTES|ROUTES_FILE|SKERRY_\w+)$/

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
  ROUTES: 'services announce theirs; a fixed list is for `./skerry gateway`',
  ROUTES_FILE: 'services announce theirs; a fixed list is for `./skerry gateway`',
  SKERRY_INSTANCE: 'each instance has its own',
  SKERRY_VERSION: 'it is that of each package.json'
}

/** The settings of apps that every process of `up` gets from the environment of `up`, with the defaults of a system on one machine. */
export function inherited(home: string, environment: NodeJS.ProcessEnv): Record<string, string> {
  const env: Record<string, string> = {
    NODE_COMPILE_CACHE: join(home, 'cache', 'node'),
    // Argon2's threads would each keep a heap of their own.
    MALLOC_ARENA_MAX: '2',
    // Everybody on this machine shares its address.
    LIMIT_EXEMPT: '127.0.0.0/8,::1/128',
    // All stop together, so there is nobody left to use them.
    IDLE_KEPT_MS: '0'
  }
  for (const [name, value] of Object.entries(environment)) if (value !== undefined && !OWN.test(name)) env[name] = value
  return env
}

/** A line that names the variables that are set and not passed on, with the reason; undefined when there is none. */
export function ignoredLine(environment: NodeJS.ProcessEnv): string | undefined {
  const set = Object.entries(IGNORED).filter(([name]) => environment[name])
  if (set.length === 0) return undefined
  return `not passed on from the environment: ${set.map(([name, why]) => `${name} (${why})`).join(', ')}`
}
