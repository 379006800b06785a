import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect, headers } from '@nats-io/transport-node'
import type { Letter, ModelStatus, OperationView } from '@skerry/events'
import { StartError } from '@skerry/stores'
import { startSystem, waitFor } from '@skerry/testing'
import t from 'tap'
import { events } from '../src/events/index.ts'
import { runCli } from './helpers/cli.ts'

const home = await mkdtemp(join(tmpdir(), 'skerry-events-'))
t.teardown(() => rm(home, { recursive: true, force: true }))
const env = { SKERRY_HOME: home }

const system = await startSystem(t, { home, args: ['--scale', 'content=2'] })

type Ended = { code: number; out: string; errors: string }

/** Runs a command in this process, as main.ts would; `onOut` sees what was written so far. */
async function run(args: string[], more: Record<string, string> = {}, onOut?: (out: string) => void): Promise<Ended> {
  const [out, err] = [new PassThrough(), new PassThrough()]
  const ended: Ended = { code: 0, out: '', errors: '' }
  out.on('data', (chunk: Buffer) => {
    ended.out += chunk
    onOut?.(ended.out)
  })
  err.on('data', (chunk: Buffer) => {
    ended.errors += chunk
  })
  try {
    ended.code = await events(args, { env: { ...env, ...more }, out, err })
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    ended.code = 1
    ended.errors += `skerry: ${error.message}\n`
  }
  return ended
}

/** Runs a command that must succeed; its output. */
async function skerry(...args: string[]): Promise<string> {
  const { code, out, errors } = await run(args)
  if (code !== 0) throw new Error(`./skerry events ${args.join(' ')} ended with ${code}:\n${out}${errors}`)
  return out
}

/** Runs one that must be refused; what it says. */
async function refused(...args: string[]): Promise<string> {
  const { code, errors } = await run(args)
  t.equal(code, 1, args.join(' '))
  return errors
}

const lines = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

async function api<T>(method: string, path: string, token?: string, body?: object): Promise<T> {
  const response = await fetch(`${system.url}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' })
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
  return (response.status === 204 ? undefined : await response.json()) as T
}

type Grant = { user: { id: string }; accessToken: string }
const signUp = (username: string) =>
  api<Grant>('POST', '/v1/auth/signup', undefined, {
    ...{ email: `${username}@example.com`, username, password: 'correct horse' }
  })
const [ada, bob] = await Promise.all([signUp('ada'), signUp('bob')])
await api('GET', '/v1/users/me', ada.accessToken)
await api('PUT', `/v1/users/${ada.user.id}/follow`, bob.accessToken)
const post = await api<{ id: string }>('POST', '/v1/posts', ada.accessToken, { text: 'hello' })

type Lag = {
  consumers: {
    consumer: string
    stream: string
    owner: string | null
    pending: number
    unacked: number
    deadLetters: number
  }[]
  outbox: { service: string; pending: number; owner: string | null }[]
}
const lagOf = async () => JSON.parse(await skerry('lag', '--json')) as Lag
const settled = (message: string) =>
  waitFor(
    async () => {
      const { consumers, outbox } = await lagOf()
      return consumers.every((c) => c.pending + c.unacked === 0) && outbox.every((o) => o.pending === 0)
    },
    { message }
  )
await settled('all events are handled')

t.test('what is there, and how far everybody is', async (t) => {
  const out = await skerry('ls')
  t.match(
    out,
    /^content +8 +\d+ +[\d.]+ k?B .* yes +0 +auth--sagas-content content--feeds content--jobs realtime--live realtime--notifications users--posts$/m
  )
  t.match(out, /^content\.post\.created\.v1 +1 +\d{4}-/m)
  t.match(
    JSON.parse(await skerry('ls', '--json')).find((s: { stream: string }) => s.stream === 'users'),
    {
      whole: 'yes',
      subjects: [
        { subject: 'users.follow.created.v1', events: 1 },
        { subject: 'users.job.cleanup.v1' },
        { subject: 'users.profile.created.v1', events: 2 }
      ]
    }
  )
  const lag = await lagOf()
  t.ok(lag.consumers.length >= 10)
  for (const { owner, consumer } of lag.consumers) t.match(owner, /^[12](,2)?$/, consumer)
  t.same(
    lag.outbox.map(({ service }) => service),
    ['auth', 'content', 'realtime', 'users']
  )
  for (const { owner, service } of lag.outbox) t.match(owner, /^(1|2|1,2)$/, service)
  t.match(await skerry('lag'), /^realtime--followers +users +[12] +0 +0 +0 +0 +-$/m)
})

t.test('events as they come, by subject and entity', async (t) => {
  const [seen] = lines(await skerry('tail', '--json', '--since', '1h', '--subject', 'content.post', '--count', '1'))
  t.match(seen, { subject: 'content.post.created.v1', entity: post.id, data: { postId: post.id, text: 'hello' } })
  let text = ''
  const tail = run(['tail', '--since', '10m', '--entity', post.id, '--count', '2'], {}, (out) => {
    text = out
  })
  await waitFor(() => text.includes('content.post.created.v1'))
  await api('PATCH', `/v1/posts/${post.id}`, ada.accessToken, { text: 'hello again' })
  t.match(await tail, { code: 0 })
  t.match(
    text,
    new RegExp(`^\\S+Z content\\.post\\.updated\\.v1 ${post.id} #\\d+ \\S+\n\\{\n  "postId": "${post.id}",\n`, 'm')
  )
  t.notOk(text.includes('\u001b'), 'no colours where there is no terminal')
  t.match(await refused('tail', '--since', 'yesterday'), /--since yesterday does not fit: give 15m/)
  t.match(await refused('tail', '--subject', 'nobody.post'), /there is no stream nobody, only auth, content/)
  t.match(await refused('tail', '--subject', 'content..x'), /--subject content\.\.x does not fit/)
  t.match(await refused('tail', '--count', '0'), /--count 0 does not fit/)
})

t.test('dead letters: shown, edited, retried for the one that failed, discarded, all on record', async (t) => {
  await settled('nothing is under way')
  const secrets = JSON.parse(await readFile(join(home, 'secrets.json'), 'utf8'))
  const address = (await system.run()).processes.find(({ name }) => name === 'nats-server')?.url
  const nc = await connect({ servers: address ?? '', user: 'admin', pass: secrets.natsAdmin })
  t.teardown(() => nc.close())
  // As another release of content might publish it: without the author.
  const { authorId, ...broken } = {
    ...lines(await skerry('tail', '--json', '--since', '1h', '--count', '1', '--subject', 'content.post.created.v1'))[0]
      .data,
    text: 'broken'
  }
  const h = headers()
  for (const [name, value] of [
    ['ce-id', 'broken-1'],
    ['ce-subject', post.id],
    ['ce-time', new Date().toISOString()]
  ] as const)
    h.set(name, value)
  await nc.request('content.post.created.v1.0', JSON.stringify(broken), { headers: h, timeout: 30_000 })

  let letters: Letter[] = []
  await waitFor(
    async () => {
      letters = lines(await skerry('dlq', 'ls', '--json'))
      return letters.length === 3
    },
    { message: 'three dead letters' }
  )
  const of = (consumer: string) => {
    const letter = letters.find((one) => one.consumer === consumer)
    return `${letter?.service}/${letter?.number}`
  }
  t.match(
    await skerry('dlq', 'ls', 'content'),
    /^content\/1 +content--feeds +content\.post\.created\.v1 .* does not fit its contract: /m
  )
  const shown = await skerry('dlq', 'show', of('content--feeds'))
  t.match(shown, /^attempts +1$/m)
  t.match(shown, /^error +\w*Error: the payload does not fit its contract: .*authorId/m)
  t.match(shown, /^ {2}"text": "broken",$/m)
  t.equal((await lagOf()).consumers.find((c) => c.consumer === 'content--feeds')?.deadLetters, 1)

  t.match(
    await refused('dlq', 'retry', of('content--feeds')),
    /the payload does not fit content\.post\.created\.v1: .*authorId/
  )
  const file = join(home, 'mended.json')
  await writeFile(file, JSON.stringify({ ...broken, authorId }))
  t.equal(await skerry('dlq', 'retry', of('content--feeds'), '--data', file, '--by', 'ada'), 'content/1: applied\n')
  // The others still have theirs.
  t.same(
    lines(await skerry('dlq', 'ls', '--json'))
      .map((l: Letter) => l.consumer)
      .sort(),
    ['realtime--live', 'users--posts']
  )

  const edit = (editor: string) => run(['dlq', 'retry', of('realtime--live'), '--edit'], { VISUAL: editor })
  t.match(await edit('true'), { code: 1, errors: /nothing was changed, so nothing was sent/ })
  const bad = await edit(`sed -i 's/"text"/"texts"/'`)
  t.match(bad, {
    code: 1,
    errors: /does not fit content\.post\.created\.v1.*\nThe edit is kept: mend it and give it with --data /
  })
  const kept = /--data (\S+)/.exec(bad.errors)?.[1] ?? ''
  t.match(await readFile(kept, 'utf8'), /"texts": "broken"/)
  await rm(join(kept, '..'), { recursive: true })
  t.match(await edit(`sed -i 's/"postId"/"authorId": "${ada.user.id}", "postId"/'`), {
    code: 0,
    out: 'realtime/1: applied\n'
  })
  t.equal(await skerry('dlq', 'discard', of('users--posts')), 'users/1: discarded\n')
  t.equal(await skerry('dlq', 'ls'), 'no dead letters\n')

  const record = lines(await skerry('audit', '--json')) as OperationView[]
  t.same(
    record.map(({ kind, consumer, state }) => `${kind} ${consumer} ${state}`),
    ['discard users--posts done', 'retry realtime--live done', 'retry content--feeds done']
  )
  t.equal(record[2]?.by, 'ada')
  t.match(record[1]?.by, /@/)
  t.same(JSON.parse(record[2]?.before ?? ''), broken)
  t.same(JSON.parse(record[2]?.after ?? ''), { ...broken, authorId })
  t.match(
    await skerry('audit', 'users--posts'),
    /^\d{4}-\S+ \S+ +\S+@\S+ +users--posts +discard +letter:1 +done +discarded /m
  )

  // Also of a service that publishes nothing, and has no stream for it.
  const reader = await jetstreamManager(nc)
  await reader.streams.add({ name: 'dlq_reader', subjects: ['dlq.reader.>'], allow_direct: true })
  h.set('skerry-consumer', 'reader--people')
  await nc.request('dlq.reader.people', '{}', { headers: h, timeout: 30_000 })
  t.match(lines(await skerry('dlq', 'ls', '--json')), [{ service: 'reader', number: 1, consumer: 'reader--people' }])
  await reader.streams.delete('dlq_reader')
  t.match(await refused('dlq', 'ls', 'reader'), /reader has no stream for dead letters, only auth, content, /)

  // Only operators may ask.
  const content = await connect({
    servers: address ?? '',
    user: 'content',
    pass: secrets.apps.content,
    inboxPrefix: '_INBOX_content'
  })
  t.teardown(() => content.close())
  await t.rejects(content.request('ops.users.posts.status', '{}', { timeout: 30_000 }), /[Pp]ermission/)
  await t.rejects(content.request('ops.content.feeds.status', '{}', { timeout: 30_000 }), /[Pp]ermission/)

  t.match(await refused('dlq', 'show', 'content/77'), /there is no dead letter content\/77/)
  t.match(await refused('dlq', 'retry', '12'), /12 is not the name of a letter, as content\/12/)
  t.match(await refused('dlq'), /say what to do: \.\/skerry events dlq ls/)
})

t.test('a replay, and what must not be replayed', async (t) => {
  t.match(await skerry('replay', 'content--people', '--from', '1'), /^users: replayed 1 to \d+$/m)
  t.match(await skerry('replay', 'realtime--followers', '--from', '1h'), /^users: replayed \d+ to \d+$/m)
  t.match(
    await refused('replay', 'users--posts', '--from', '1'),
    /users--posts must not be replayed: posts would be counted twice\. --force does it nevertheless/
  )
  type Profile = { counts: { posts: number; followers: number } }
  const { counts } = await api<Profile>('GET', `/v1/users/${ada.user.id}`, bob.accessToken)
  t.match(counts, { posts: 1, followers: 1 })
  t.match(await refused('replay', 'content--people'), /give the start/)
  t.match(await refused('replay', 'realtime--live', '--from', '1'), /reads .*: say whose sequence it is with --stream/)
  t.match(
    await refused('replay', 'content--nobody', '--from', '1'),
    /no instance of content that runs has a consumer nobody/
  )
  t.match(await refused('replay', 'feeds', '--from', '1'), /feeds is not the name of a consumer, as content--feeds/)
})

/** The first live message of a kind after `cause` was done. */
async function liveMessage(type: string, cause: () => Promise<unknown>): Promise<string> {
  const ending = new AbortController()
  const response = await fetch(`${system.url}/v1/live`, {
    headers: { authorization: `Bearer ${bob.accessToken}`, accept: 'text/event-stream' },
    signal: ending.signal
  })
  let text = ''
  const reading = (async () => {
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) text += chunk
  })().catch((error: Error) => error)
  await waitFor(() => text !== '', { message: 'the stream has begun' })
  await cause()
  await waitFor(() => new RegExp(`event: ${type}\\n`).test(text), { message: `${type} is told` })
  ending.abort()
  await reading
  return text
}

t.test('a read model is rebuilt and switched while the system runs', async (t) => {
  const built = await skerry('rebuild', 'realtime--followers')
  t.match(built, /^realtime--followers: generation 2 is read\ngeneration 1 is kept, and fed as well\n/)
  t.match(await skerry('lag'), /^realtime--followers--r2 +users +[12] +0 +0 /m)
  t.match(
    await liveMessage('post.created', () => api('POST', '/v1/posts', ada.accessToken, { text: 'from the new model' })),
    /from the new model/
  )
  t.match(
    await refused('rebuild', 'realtime--followers'),
    /generation 1 is still kept from the last rebuild: --finish drops it/
  )
  await skerry('rebuild', 'realtime--followers', '--finish')
  const statusOf = async (consumer: string) =>
    JSON.parse(await skerry('rebuild', consumer, '--status', '--json')) as ModelStatus
  await waitFor(async () => (await statusOf('realtime--followers')).retired.length === 0, {
    message: 'the old one is dropped'
  })
  t.notMatch(await skerry('lag'), /^realtime--followers /m)
  t.match(
    await liveMessage('post.created', () =>
      api('POST', '/v1/posts', ada.accessToken, { text: 'with the old one gone' })
    ),
    /with the old one gone/
  )

  t.match(await skerry('rebuild', 'content--authors', '--stay'), /generation 2 is being built, .*: it has caught up/)
  t.match(await skerry('rebuild', 'content--authors', '--switch'), /generation 2 is read/)
  // Both instances of content die: whoever comes back reads the new generation.
  const pids = await Promise.all(['1', '2'].map((instance) => system.kill('content', instance)))
  await Promise.all(['1', '2'].map((instance, i) => system.restarted('content', instance, pids[i] ?? 0)))
  await waitFor(
    () =>
      skerry('rebuild', 'content--authors--r2', '--finish').then(
        () => true,
        () => false
      ),
    { message: 'content answers again' }
  )
  await waitFor(async () => (await statusOf('content--authors')).retired.length === 0, {
    message: 'the old one is dropped'
  })
  type Post = { author: { username: string } }
  await waitFor(
    async () =>
      (await api<Post>('GET', `/v1/posts/${post.id}`, bob.accessToken).catch(() => undefined))?.author.username ===
      'ada',
    { message: 'names come from the new model' }
  )
  t.match(await refused('rebuild', 'content--feeds'), /no instance of content that runs has a read model feeds/)
  t.match(await refused('rebuild', 'content--authors', '--abort'), /nothing is being built/)
  t.match(await refused('rebuild', 'content--authors', '--abort', '--finish'), /give one of --abort/)
  const kinds = (lines(await skerry('audit', '--json')) as OperationView[]).map(
    ({ kind, consumer }) => `${kind} ${consumer}`
  )
  t.same(kinds.slice(0, 3), ['finish content--authors', 'switch content--authors', 'rebuild content--authors'])
})

t.test('help and wrong commands', async (t) => {
  const nowhere = { SKERRY_HOME: join(home, 'nowhere') }
  t.match(await runCli(['events', 'lag'], env), { code: 0, out: /^consumer +stream +owner/ })
  t.match(await runCli(['events', 'ls'], nowhere), {
    code: 1,
    errors: /^skerry: nothing runs in .*: start it with `npm start`\n$/
  })
  t.match((await runCli(['events', '--help'], env)).out, /^\.\/skerry events ls \| tail/)
  t.match(await refused(), /say what to do: ls, lag, tail, dlq, audit, replay, rebuild/)
  t.match(await refused('look'), /there is no "events look"/)
  t.match(await refused('ls', 'content'), /content is an unexpected argument/)
  t.match(await refused('ls', '--nonsense'), /--nonsense/)
})
