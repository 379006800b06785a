// An app as apps are, for the tests of runApp. What it does besides comes from TEST_* variables.
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { defineEvent } from '@skerry/contracts'
import Type from 'typebox'
import { buildServer, parseConfig, route, runApp, ServiceConfigSchema } from '../../src/index.ts'
import { widget, widgetRoutes } from './server.ts'

const ConfigSchema = Type.Object({
  ...ServiceConfigSchema.properties,
  /** Subjects of events that it publishes. */
  TEST_EVENTS: Type.Optional(Type.String()),
  TEST_MODE: Type.Optional(Type.Enum(['fail', 'unready', 'hang', 'throw', 'huge', 'mute', 'go on']))
})

/** Contracts whose rules are more than an announcement may hold, though each by itself is fine. */
const hugeRoutes = () =>
  Array.from({ length: 150 }, (_, i) => ({
    ...widgetRoutes.list,
    path: `/v1/widgets${`/${'x'.repeat(100)}`.repeat(4)}/${i}`
  }))

const eventsOf = (subjects: string) =>
  subjects.split(' ').map((subject) =>
    defineEvent({
      ...{ subject, version: 1, summary: 'Only for tests.' },
      entity: (d) => d.id,
      data: Type.Object({ id: Type.String() })
    })
  )

const note = (text: string) => writeSync(2, `${text}\n`)

await runApp({
  name: 'widgets',
  version: '1.2.3',
  ...(process.env.TEST_MODE === 'go on' ? { uncaught: 'go on' as const } : {}),
  config: () => parseConfig(ConfigSchema, process.env),
  async start({ log, metrics, config }) {
    if (config.TEST_MODE === 'fail') throw new Error('cannot start: no database at mongodb://root:hunter2@db/')
    const app = buildServer({ name: 'widgets', config, metrics, logger: log })
    route(app, widgetRoutes.list, async ({ query }) => {
      if (query.q === 'slow') await sleep((query.limit ?? 0) * 10)
      while (query.q === 'leaving' && !app.skerry.draining) await sleep(10)
      if (query.q === 'throw') setImmediate(() => JSON.parse('{'))
      if (query.q === 'reject') void Promise.reject(new Error('nobody listens'))
      return { items: [{ ...widget, name: config.SKERRY_INSTANCE }], nextCursor: null }
    })
    return {
      app,
      ...(config.TEST_MODE === 'mute'
        ? {}
        : { routes: config.TEST_MODE === 'huge' ? hugeRoutes() : { listWidgets: widgetRoutes.list } }),
      ...(config.TEST_EVENTS === undefined ? {} : { events: eventsOf(config.TEST_EVENTS) }),
      checks: {
        ready: () => {
          if (config.TEST_MODE === 'unready') throw new Error('the database is away')
        }
      },
      async stop() {
        note('consumers stopped')
      },
      async close() {
        if (config.TEST_MODE === 'hang') await new Promise(() => undefined)
        note('connections closed')
      }
    }
  }
})
