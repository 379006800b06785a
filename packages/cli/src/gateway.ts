import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { ALLOCATOR } from '@skerry/service/allocator'
import { isFree, StartError } from '@skerry/stores'
import { homeFolder, REPOSITORY } from './repository.ts'

export type GatewayOptions = {
  route?: string[]
  'routes-file'?: string
  rules?: string
  'default-auth'?: string
  port?: string
  jwks?: string
  issuer?: string
  audience?: string
  redis?: string
  workers?: string
  health?: string
}

/** A second Ctrl-C later than this is somebody who does not want to wait; sooner, it is the same one by another way. */
const ECHO_MS = 1_000

/**
 * Runs the gateway alone in the foreground, in front of a fixed list. SIGINT and SIGTERM stop it in order, a second one at once; SIGHUP has
 * it read its files again, and with workers replaces them. Resolves with its exit code.
 */
export async function runGateway(options: GatewayOptions, env: NodeJS.ProcessEnv = process.env): Promise<number> {
  const settings = settingsOf(options, env)
  const port = Number(settings.PORT ?? (env.PORT || 8080))
  if (port !== 0 && !(await isFree(port)))
    throw new StartError(`port ${port} is in use: give another with --port (0 picks a free one)`)
  // A process group of its own: Ctrl-C in a terminal reaches only this process, which passes it on once.
  const child = spawn(process.execPath, [join(REPOSITORY, 'apps/gateway/src/main.ts')], {
    env: {
      ...ALLOCATOR,
      ...withoutStores(env),
      NODE_COMPILE_CACHE: join(homeFolder(env), 'cache', 'node'),
      ...settings
    },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    detached: true
  })
  child.on('message', (message: { type?: string; url: string; ops: string }) => {
    if (message.type === 'ready')
      process.stderr.write(
        `gateway: ${message.url}  (health and metrics: ${message.ops}/readyz, ${message.ops}/metrics)\n`
      )
  })
  passSignals(child)
  const [code, signal] = await once(child, 'exit')
  return code ?? (signal === 'SIGKILL' ? 137 : 1)
}

/** What the options are as the gateway's settings. Throws a line that says what to give instead of what does not fit. */
export function settingsOf(options: GatewayOptions, env: NodeJS.ProcessEnv): Record<string, string> {
  const { route = [], rules, 'routes-file': routesFile } = options
  const listed = route.length > 0
  if (listed && routesFile !== undefined) throw new StartError('give --route or --routes-file, not both')
  if (!listed && routesFile === undefined && !env.ROUTES && !env.ROUTES_FILE)
    throw new StartError('give at least one --route, as in: ./skerry gateway --route /feed=http://127.0.0.1:9001')
  const bad = route.find((text) => !/^\/[^=;]*=[^;]+$/.test(text))
  if (bad !== undefined)
    throw new StartError(
      `--route ${bad} is not a route: write it as --route /feed=http://127.0.0.1:9001,http://127.0.0.1:9002`
    )
  whole('--port', options.port, 0, 65_535)
  if (options.port === undefined) whole('PORT', env.PORT || undefined, 0, 65_535)
  whole('--workers', options.workers, 1, 64)
  matching('--jwks', options.jwks, /^https?:\/\/./, 'https://login.example/.well-known/jwks.json')
  matching('--redis', options.redis, /^rediss?:\/\/./, 'redis://127.0.0.1:6379')
  matching('--default-auth', options['default-auth'], /^(?:required|optional|none)$/, 'required, optional or none')
  matching('--health', options.health, /^\//, '/healthz')
  const settings: Record<string, string | undefined> = {
    // One of the two, whatever the environment has of the other.
    ...(listed ? { ROUTES: route.join(';'), ROUTES_FILE: '' } : {}),
    ...(routesFile === undefined ? {} : { ROUTES: '', ROUTES_FILE: file('--routes-file', routesFile) }),
    RULES_FILE: rules === undefined ? undefined : file('--rules', rules),
    DEFAULT_AUTH: options['default-auth'],
    PORT: options.port,
    JWKS_URL: options.jwks,
    JWT_ISSUER: options.issuer,
    JWT_AUDIENCE: options.audience,
    REDIS_URL: options.redis,
    WORKERS: options.workers,
    HEALTH_PATH: options.health
  }
  return Object.fromEntries(
    Object.entries(settings).filter((entry): entry is [string, string] => entry[1] !== undefined)
  )
}

function whole(name: string, text: string | undefined, least: number, most: number): void {
  if (text !== undefined && !(/^\d{1,5}$/.test(text) && Number(text) >= least && Number(text) <= most))
    throw new StartError(`${name} ${text} does not fit: give a number from ${least} to ${most}`)
}

function matching(name: string, text: string | undefined, pattern: RegExp, example: string): void {
  if (text !== undefined && !pattern.test(text))
    throw new StartError(`${name} ${text} does not fit: give one as ${example}`)
}

function file(name: string, path: string): string {
  if (!existsSync(path)) throw new StartError(`${name} ${path} does not exist: give the path of a readable file`)
  return resolve(path)
}

/** A gateway alone knows no NATS and no MongoDB, whatever the shell names. */
function withoutStores({
  NATS_URL,
  NATS_USER,
  NATS_PASSWORD,
  MONGO_URL,
  ...env
}: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return env
}

function passSignals(child: ChildProcess): void {
  let toldAt = 0
  const stop = () => {
    if (toldAt === 0) {
      toldAt = Date.now()
      child.kill('SIGTERM')
    } else if (Date.now() - toldAt > ECHO_MS) child.kill('SIGKILL')
  }
  const inTerminal = hasTerminal()
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  // A terminal that closes sends it too, and then nobody is left to stop a gateway in the foreground.
  process.on('SIGHUP', () => (inTerminal && !hasTerminal() ? stop() : child.kill('SIGHUP')))
  process.once('disconnect', stop)
  process.channel?.unref()
}

function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    // No controlling terminal, or it has hung up.
    return false
  }
}
