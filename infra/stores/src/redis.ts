import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Secrets } from './secrets.ts'
import { type Server, type ServerEvents, startServer } from './server.ts'

export type RedisOptions = {
  home: string
  binary: string
  port: number
  secrets: Secrets
  apps: readonly string[]
  events: ServerEvents
}

/** They name keys of others: prefixes do not bind them. INFO is given, since clients ask it whether the server has loaded. */
const HIDDEN = '-scan -randomkey -dbsize'

/** The ACL file: each app sees the keys and channels of its own prefix, and may not administer anything. */
export function redisAcl(secrets: Secrets, apps: readonly string[]): string {
  const lines = apps.map(
    (app) => `user ${app} on >${secrets.apps[app]} ~${app}:* &${app}:* +@all -@admin -@dangerous ${HIDDEN} +info`
  )
  return ['user default off', `user admin on >${secrets.redisAdmin} ~* &* +@all`, ...lines, ''].join('\n')
}

/** A bounded cache, here and in docker-compose.yml: nothing in it is ever the only copy, so nothing is written to disk. */
export const CACHE_SETTINGS = { save: '""', appendonly: 'no', maxmemory: '128mb', 'maxmemory-policy': 'allkeys-lru' }

/** Starts Valkey or Redis. */
export async function startRedis(options: RedisOptions): Promise<Server> {
  const { home, port, secrets } = options
  const data = join(home, 'data', 'redis')
  const acl = join(home, 'redis.acl')
  const config = join(home, 'redis.conf')
  await mkdir(data, { recursive: true })
  await writeFile(acl, redisAcl(secrets, options.apps), { mode: 0o600 })
  const settings = {
    bind: '127.0.0.1',
    port: String(port),
    // The command line then keeps naming our configuration: by it a later start knows what it left behind.
    'set-proc-title': 'no',
    dir: `"${data}"`,
    aclfile: `"${acl}"`,
    ...CACHE_SETTINGS
  }
  await writeFile(
    config,
    Object.entries(settings)
      .map((entry) => entry.join(' '))
      .join('\n')
  )
  return startServer(
    { name: 'redis', binary: options.binary, port, home, args: [config], ready: () => pong(port, secrets.redisAdmin) },
    options.events
  )
}

function pong(port: number, password: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 1_000 }, () =>
      socket.write(`AUTH admin ${password}\r\nPING\r\n`)
    )
    let answer = ''
    socket.on('data', (data) => {
      answer += data
      if (answer.includes('+PONG')) {
        socket.destroy()
        resolve()
      } else if (answer.includes('-')) socket.destroy(new Error(answer.trim()))
    })
    socket.once('timeout', () => socket.destroy(new Error('no answer')))
    socket.once('error', reject)
  })
}
