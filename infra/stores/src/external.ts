import { connect } from 'node:net'
import { MongoClient } from 'mongodb'
import { StartError } from './faults.ts'
import { NATS_SERVER, newEnough } from './sources.ts'

/** Stores that run elsewhere, by their URLs with the user and password in them. They are used as they are: no user is made in them. */
export type ExternalUrls = { mongod?: string; 'nats-server'?: string; redis?: string }

/** An external store as it answered. */
export type ExternalStore = { url: string; address: string; version: string }

const ANSWER_MS = 5_000

/** The external stores that an environment names by MONGO_URL, NATS_URL and REDIS_URL. */
export function externalUrls(env: NodeJS.ProcessEnv): ExternalUrls {
  return {
    ...(env.MONGO_URL ? { mongod: env.MONGO_URL } : {}),
    ...(env.NATS_URL ? { 'nats-server': env.NATS_URL } : {}),
    ...(env.REDIS_URL ? { redis: env.REDIS_URL } : {})
  }
}

/** Asks MongoDB who it is; it must be a replica set or a sharded cluster, since a standalone server has no transactions. */
export async function checkMongo(url: string): Promise<ExternalStore> {
  return checked('MONGO_URL', url, async () => {
    const client = new MongoClient(url, { serverSelectionTimeoutMS: ANSWER_MS, connectTimeoutMS: ANSWER_MS })
    try {
      const admin = client.db('admin')
      const hello = await admin.command({ hello: 1 })
      if (hello.setName === undefined && hello.msg !== 'isdbgrid')
        throw new Error('it is a standalone server, and transactions need a replica set')
      const { version } = await admin.command({ buildInfo: 1 })
      const hosts = /^mongodb(?:\+srv)?:\/\/(?:[^@/]*@)?([^/?]+)/.exec(url)?.[1] ?? ''
      return { url, address: hosts, version: String(version) }
    } finally {
      await client.close()
    }
  })
}

/** A NATS server says its version in its greeting, before anybody signs in. */
export async function checkNats(url: string): Promise<ExternalStore> {
  return checked('NATS_URL', url, async () => {
    const { hostname, port } = new URL(url)
    const greeting = await firstLine(hostname, Number(port || 4222))
    if (!greeting.startsWith('INFO ')) throw new Error('the server is not a NATS server')
    const { version, jetstream } = JSON.parse(greeting.slice(5)) as { version: string; jetstream?: boolean }
    if (!newEnough(NATS_SERVER, version))
      throw new Error(
        `it is version ${version}, and ${NATS_SERVER.minimum.join('.')} is needed: ${NATS_SERVER.because}`
      )
    if (jetstream !== true) throw new Error('its JetStream is off')
    return { url, address: `${hostname}:${port || 4222}`, version }
  })
}

/** Redis is not asked for more than an answer: whether it is there is all that the services need, and they do without as well. */
export async function checkRedis(url: string): Promise<ExternalStore> {
  return checked('REDIS_URL', url, async () => {
    const { hostname, port } = new URL(url)
    await firstLine(hostname, Number(port || 6379), 'PING\r\n')
    return { url, address: `${hostname}:${port || 6379}`, version: '' }
  })
}

async function checked(variable: string, url: string, ask: () => Promise<ExternalStore>): Promise<ExternalStore> {
  try {
    return await ask()
  } catch (error) {
    const place = url.replace(/\/\/[^@/]*@/, '//…@')
    throw new StartError(`${variable} (${place}) cannot be used: ${(error as Error).message}`, { cause: error })
  }
}

function firstLine(host: string, port: number, say = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: ANSWER_MS }, () => void (say !== '' && socket.write(say)))
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', (chunk: string) => {
      text += chunk
      if (!text.includes('\n')) return
      socket.destroy()
      resolve(text.split('\r\n')[0] ?? '')
    })
    socket.once('timeout', () => socket.destroy(new Error(`no answer within ${ANSWER_MS / 1000} s`)))
    socket.once('close', () => reject(new Error('the server closed the connection')))
    socket.once('error', reject)
  })
}
