/** The NATS user of those who only listen, and the name of its durable consumer on each stream. No app may have this name. */
export const SUBSCRIBER = 'subscriber'

/**
 * What a subscriber may do: keep one durable consumer, by its exact name, on the stream of each service, fetch from it and acknowledge. It
 * publishes no event, reads no dead letters and no buckets, makes no stream, and cannot touch the consumers of services.
 */
export function subscriberPermissions(services: readonly string[]): { publish: string[]; subscribe: string[] } {
  const api = services.flatMap((stream) => [
    `STREAM.INFO.${stream}`,
    // Clients put the filter into the subject where it is one, and leave it out, or use the older form, where there are several.
    `CONSUMER.CREATE.${stream}.${SUBSCRIBER}`,
    `CONSUMER.CREATE.${stream}.${SUBSCRIBER}.>`,
    `CONSUMER.DURABLE.CREATE.${stream}.${SUBSCRIBER}`,
    `CONSUMER.INFO.${stream}.${SUBSCRIBER}`,
    // Back to its floor, so that what was not acknowledged comes first again.
    `CONSUMER.RESET.${stream}.${SUBSCRIBER}`,
    `CONSUMER.DELETE.${stream}.${SUBSCRIBER}`,
    `CONSUMER.MSG.NEXT.${stream}.${SUBSCRIBER}`
  ])
  return {
    publish: [
      ...['INFO', ...api].map((subject) => `$JS.API.${subject}`),
      ...services.map((stream) => `$JS.ACK.${stream}.${SUBSCRIBER}.>`)
    ],
    subscribe: [`_INBOX_${SUBSCRIBER}.>`]
  }
}
