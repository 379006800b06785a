import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Secrets } from './secrets.ts'
import { type Server, type ServerEvents, startServer } from './server.ts'

export type NatsOptions = {
  home: string
  binary: string
  port: number
  secrets: Secrets
  services: readonly string[]
  gateways: readonly string[]
  /** Accounts for test files, each with a user of the same name and password that may do all within it. */
  testAccounts: number
  events: ServerEvents
}

/** What the configuration file says; `host` and `storeDir` differ in a container. */
export type NatsConfigOptions = Omit<NatsOptions, 'binary' | 'events'> & { host?: string; storeDir?: string }

/** What a service may do: publish its own subjects, announce itself, manage its own streams, read any. */
function servicePermissions(service: string): { publish: string[]; subscribe: string[] } {
  const streams = [service, `dlq_${service}`, 'KV_registry', 'KV_identity', ...(service === 'realtime' ? ['live'] : [])]
  return {
    publish: [
      `${service}.>`,
      `dlq.${service}.>`,
      `$KV.registry.${service}.>`,
      ...(service === 'auth' ? ['$KV.identity.>'] : []),
      ...(service === 'realtime' ? ['live.>'] : []),
      ...['INFO', 'STREAM.NAMES', 'STREAM.LIST', 'STREAM.INFO.*', 'STREAM.MSG.GET.*', 'DIRECT.GET.>', 'CONSUMER.>'].map(
        (s) => `$JS.API.${s}`
      ),
      ...streams.map((s) => `$JS.API.STREAM.CREATE.${s}`),
      ...streams.filter((s) => !s.startsWith('KV_')).map((s) => `$JS.API.STREAM.UPDATE.${s}`),
      '$JS.ACK.>',
      '$JS.FC.>'
    ],
    subscribe: [`_INBOX_${service}.>`, `${service}.>`, ...(service === 'realtime' ? ['live.>', 'rt.>'] : [])]
  }
}

/** A gateway only reads: who is there, which keys sign, which sessions ended, how requests are spread over versions, what ends what it keeps. */
function gatewayPermissions(name: string, services: readonly string[]): { publish: string[]; subscribe: string[] } {
  const api = [
    'INFO',
    'STREAM.INFO.*',
    'STREAM.MSG.GET.*',
    'DIRECT.GET.>',
    'STREAM.CREATE.KV_registry',
    'STREAM.CREATE.KV_identity',
    // Nobody else starts that needs it.
    'STREAM.CREATE.KV_traffic'
  ]
  const watch = [
    'CONSUMER.CREATE.KV_registry.>',
    'CONSUMER.CREATE.KV_identity.>',
    'CONSUMER.CREATE.KV_traffic.>',
    'CONSUMER.INFO.>',
    'CONSUMER.DELETE.>'
  ]
  return {
    publish: [...api, ...watch].map((s) => `$JS.API.${s}`).concat('$JS.ACK.>', '$JS.FC.>'),
    // `<service>.<entity>.<what>.v<version>`, as it is published: no stream, no dead letter, no live message.
    subscribe: [`_INBOX_${name}.>`, ...services.map((service) => `${service}.*.*.*`)]
  }
}

/** The configuration file: users with permissions, JetStream that syncs each write to disk. */
export function natsConfig(options: NatsConfigOptions): string {
  const { secrets } = options
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
            ...options.services.map((s) => user(s, servicePermissions(s))),
            ...options.gateways.map((g) => user(g, gatewayPermissions(g, options.services)))
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
  await mkdir(join(options.home, 'data', 'nats'), { recursive: true })
  await writeFile(config, natsConfig(options), { mode: 0o600 })
  return startServer(
    {
      name: 'nats-server',
      binary: options.binary,
      port: options.port,
      home: options.home,
      args: ['-c', config],
      ready: () => greeted(options.port)
    },
    options.events
  )
}

/** A NATS server speaks first: INFO. */
function greeted(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 1_000 })
    socket.once('data', (data) => {
      socket.destroy()
      if (data.toString().startsWith('INFO')) resolve()
      else reject(new Error('what answers is not NATS'))
    })
    socket.once('timeout', () => socket.destroy(new Error('no answer')))
    socket.once('error', reject)
  })
}
