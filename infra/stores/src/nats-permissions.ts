import type { Consumers, StoreApp } from './apps.ts'

export type Permissions = { publish: string[]; subscribe: string[] }

/** So often may a read model be rebuilt: each time its consumer has a name of its own, and NATS takes names as a whole. */
export const GENERATIONS = 50

/** So many partitions may a stream have: a consumer has a durable for each, and NATS takes names as a whole. */
const PARTITIONS = 8

/**
 * What a service may do: publish its own subjects, announce itself under its own key, and work with its own consumers, by their exact
 * names, on the streams that they read.
 *
 * It may make its own streams (`STREAM.CREATE` of one that is there changes nothing), and not change them: the configuration of a stream
 * can send on or rename what it stores, which would be a way around all this. It has no direct reads of what others or itself wrote, since
 * their answer goes to any subject that is asked for. docs/ownership.md has the whole argument.
 */
export function servicePermissions(
  { name, consumers = {}, readModels = {} }: StoreApp,
  services: readonly string[] = []
): Permissions {
  const isAuth = name === 'auth'
  const isRealtime = name === 'realtime'
  const own = [name, `dlq_${name}`, ...(isRealtime ? ['live'] : [])]
  // Auth hears the answers to erasures and exports of whichever service takes part.
  const others = services.filter((service) => service !== name)
  const sagas: Consumers = isAuth ? Object.fromEntries(others.map((one) => [`sagas-${one}`, [one]])) : {}
  const names = [
    ...namesOf(name, { jobs: [name], ...sagas, ...consumers }, 1),
    ...namesOf(name, readModels, GENERATIONS)
  ]
  return {
    publish: [
      `${name}.>`,
      `dlq.${name}.>`,
      `$KV.registry.${name}.>`,
      `$KV.participants.${name}`,
      ...(isAuth ? ['$KV.identity.>'] : []),
      ...(isRealtime ? ['live.>'] : []),
      // Wakes its other instances, and answers operators; their requests it only hears.
      `ops.${name}.*.look`,
      '_INBOX_admin.>',
      ...[
        'INFO',
        'STREAM.INFO.*',
        'STREAM.CREATE.KV_registry',
        'STREAM.CREATE.KV_identity',
        'STREAM.CREATE.KV_participants',
        ...own.map((stream) => `STREAM.CREATE.${stream}`),
        // Limits of the log change with the settings of realtime; the messages of who is erased go.
        ...(isRealtime ? ['STREAM.UPDATE.live', 'STREAM.PURGE.live', 'DIRECT.GET.live'] : []),
        `STREAM.MSG.GET.${name}`,
        `STREAM.MSG.GET.dlq_${name}`,
        `STREAM.MSG.DELETE.dlq_${name}`,
        ...watching('identity'),
        ...(isAuth ? watching('participants') : []),
        ...names.flatMap(({ stream, durable }) => [
          // CREATE, INFO, RESET, PAUSE and DELETE; clients use the older form of CREATE for consumers of several subjects; and pulls.
          `CONSUMER.*.${stream}.${durable}`,
          `CONSUMER.DURABLE.CREATE.${stream}.${durable}`,
          `CONSUMER.MSG.NEXT.${stream}.${durable}`
        ])
      ].map((subject) => `$JS.API.${subject}`),
      ...names.map(({ stream, durable }) => `$JS.ACK.${stream}.${durable}.>`),
      '$JS.FC.KV_identity.>',
      ...(isAuth ? ['$JS.FC.KV_participants.>'] : [])
    ],
    subscribe: [`_INBOX_${name}.>`, `${name}.>`, `ops.${name}.>`, ...(isRealtime ? ['live.>', 'rt.>'] : [])]
  }
}

/** A gateway only reads: who is there, which keys sign, which sessions ended, how requests are spread over versions, what ends what it keeps. */
export function gatewayPermissions(name: string, services: readonly string[]): Permissions {
  const buckets = ['registry', 'identity', 'traffic']
  return {
    publish: [
      ...[
        'INFO',
        'STREAM.INFO.*',
        // Nobody else starts that needs the third.
        ...buckets.map((bucket) => `STREAM.CREATE.KV_${bucket}`),
        ...buckets.flatMap(watching)
      ].map((subject) => `$JS.API.${subject}`),
      ...buckets.map((bucket) => `$JS.FC.KV_${bucket}.>`)
    ],
    // `<service>.<entity>.<what>.v<version>.<partition>`, as it is published, on a stream of a release before partitions without the last: no
    // stream, no dead letter, no live message.
    subscribe: [`_INBOX_${name}.>`, ...services.flatMap((service) => [`${service}.*.*.*`, `${service}.*.*.*.*`])]
  }
}

/** Reading a bucket, by key and by watching it. Watchers' consumers have names that nobody else can know. */
function watching(bucket: string): string[] {
  const stream = `KV_${bucket}`
  return [
    `STREAM.MSG.GET.${stream}`,
    `DIRECT.GET.${stream}.>`,
    `CONSUMER.CREATE.${stream}.>`,
    `CONSUMER.INFO.${stream}.*`,
    `CONSUMER.DELETE.${stream}.*`
  ]
}

function namesOf(service: string, consumers: NonNullable<StoreApp['consumers']>, generations: number) {
  return Object.entries(consumers).flatMap(([purpose, streams]) =>
    streams.flatMap((stream) =>
      Array.from({ length: generations }, (_, i) => `${service}--${purpose}${i === 0 ? '' : `--r${i + 1}`}`).flatMap(
        (consumer) => [
          { stream, durable: consumer },
          ...Array.from({ length: PARTITIONS }, (_, p) => ({ stream, durable: `${consumer}--p${p}` }))
        ]
      )
    )
  )
}
