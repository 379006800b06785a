import t from 'tap'
import Type from 'typebox'
import { DataConfigSchema, parseConfig, ServiceConfigSchema } from '../src/index.ts'
import { env } from './support/server.ts'

t.test('converts, applies defaults and ignores other variables', async (t) => {
  const config = parseConfig(ServiceConfigSchema, {
    ...env,
    PORT: '8081',
    CHECK_RESPONSES: 'true',
    HOME: '/root',
    HOST: ''
  })
  t.equal(config.PORT, 8081)
  t.equal(config.HOST, '127.0.0.1', 'an empty variable is an absent one')
  t.equal(config.CHECK_RESPONSES, true)
  t.equal(config.BODY_LIMIT, 1024 * 1024)
  t.equal(config.SKERRY_INSTANCE, '1')
  t.equal(config.REDIS_URL, undefined)
  t.notOk('HOME' in config)
})

t.test('names every bad variable in one line, and no secret value', async (t) => {
  const Schema = Type.Object({ ...ServiceConfigSchema.properties, ...DataConfigSchema.properties })
  const bad = {
    ...env,
    NATS_URL: undefined,
    PORT: 'many',
    LOG_LEVEL: 'loud',
    BODY_LIMIT: '1',
    MONGO_URL: 'user:hunter2@host',
    CHECK_RESPONSES: 'yes'
  }
  try {
    parseConfig(Schema, bad)
    t.fail('accepted')
  } catch (error) {
    const { message } = error as Error
    t.match(message, /^Bad configuration: /)
    for (const name of [
      'NATS_URL is missing',
      'PORT ',
      'LOG_LEVEL ',
      'BODY_LIMIT ',
      'MONGO_URL ',
      'MONGO_DATABASE is missing',
      'CHECK_RESPONSES '
    ]) {
      t.ok(message.includes(name), name)
    }
    t.ok(message.includes('"many"'))
    t.notOk(message.includes('hunter2'))
    t.notOk(message.includes('\n'))
  }
})

t.test('a number is a number in full', async (t) => {
  for (const PORT of ['80x', '-1', '65536', '1.5', 'NaN', ' '])
    t.throws(() => parseConfig(ServiceConfigSchema, { ...env, PORT }), /PORT/, PORT)
})
