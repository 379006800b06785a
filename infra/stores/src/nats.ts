import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { StoreApp } from './apps.ts'
import { gatewayPermissions, servicePermissions } from './nats-permissions.ts'
import { freePort } from './ports.ts'
import type { Secrets } from './secrets.ts'
import { type Server, type ServerEvents, startServer } from './server.ts'
import { SUBSCRIBER, subscriberPermissions } from './subscriber.ts'

export type NatsOptions = {
  home: string
  binary: string
  port: number
  secrets: Secrets
  apps: readonly StoreApp[]
  /** Accounts for test files, each with a user of the same name and password that may do all within it. */
  testAccounts: number
  events: ServerEvents
}

/** What the configuration file says; `host` and `storeDir` differ in a container. With `healthPort` it tells there whether it can write. */
export type NatsConfigOptions = Omit<NatsOptions, 'binary' | 'events'> & {
  host?: string
  storeDir?: string
  healthPort?: number
}

/** The configuration file: users with permissions, JetStream that syncs each write to disk. */
export function natsConfig(options: NatsConfigOptions): string {
  const { secrets } = options
  const services = options.apps.filter((app) => app.kind === 'service').map((app) => app.name)
  const user = (name: string, permissions: object) => ({ user: name, password: secrets.apps[name], permissions })
  const tests = Object.fromEntries(
    Array.from({ length: options.testAccounts }, (_, i) => [
      `test${i}`,
      { jetstream: 'enabled', users: [{ user: `test${i}`, password: `test${i}` }] }
    ])
  )
  return JSON.stringify(
    {
      server_name: 'skerry',
      host: options.host ?? '127.0.0.1',
      port: options.port,
      ...(options.healthPort === undefined ? {} : { http: `127.0.0.1:${options.healthPort}` }),
      max_payload: 1_048_576,
      write_deadline: '10s',
      ping_interval: '10s',
      jetstream: {
        store_dir: options.storeDir ?? join(options.home, 'data', 'nats'),
        sync_interval: 'always',
        max_memory_store: 134_217_728,
        max_file_store: 10_737_418_240
      },
      accounts: {
        SKERRY: {
          jetstream: 'enabled',
          users: [
            { user: 'admin', password: secrets.natsAdmin },
            ...options.apps.map((app) =>
              user(
                app.name,
                app.kind === 'service' ? servicePermissions(app, services) : gatewayPermissions(app.name, services)
              )
            ),
            user(SUBSCRIBER, subscriberPermissions(services))
          ]
        },
        ...tests
      }
    },
    null,
    2
  )
}

/** Starts nats-server with JetStream on files and access control. */
export async function startNats(options: NatsOptions): Promise<Server> {
  const config = join(options.home, 'nats.json')
  const healthPort = await freePort()
  await mkdir(join(options.home, 'data', 'nats'), { recursive: true })
  await writeFile(config, natsConfig({ ...options, healthPort }), { mode: 0o600 })
  return startServer(
    {
      name: 'nats-server',
      binary: options.binary,
      port: options.port,
      home: options.home,
      args: ['-c', config],
      ready: () => greeted(options.port),
      stuck: () => writeFault(healthPort)
    },
    options.events
  )
}

/**
 * What nats-server says of a stream that it could not write, or of JetStream that it has switched off for that. It takes no message for such
 * a stream until it is started again, whatever room there is by then.
 */
async function writeFault(healthPort: number): Promise<string | undefined> {
  const response = await fetch(`http://127.0.0.1:${healthPort}/healthz`, { signal: AbortSignal.timeout(2_000) })
  const { error } = (await response.json()) as { error?: string }
  return error !== undefined && /write error|no space|disabled|not enabled/i.test(error)
    ? error.replace(/^.*(write error).*: ([^:]+)$/i, '$1: $2').slice(0, 200)
    : undefined
}

/** A NATS server speaks first: INFO. */
function greeted(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 1_000 })
    socket.once('data', (data) => {
      socket.destroy()
      if (data.toString().startsWith('INFO')) resolve()
      else reject(new Error('the server is not a NATS server'))
    })
    socket.once('timeout', () => socket.destroy(new Error('no answer')))
    socket.once('error', reject)
  })
}
