import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as contracts from '@skerry/contracts'
import { declaredIn } from '@skerry/contracts/compat'
import { binCache, faultRun, missingCommand, skipWithout, startSystem } from '@skerry/testing'
import t, { type Test } from 'tap'
import { REPOSITORY } from '../src/repository.ts'
import { signUp } from './helpers/phone.ts'
import { startSubscriber, subscriberVariables } from './helpers/subscriber.ts'

// The guides to subscribing from Go and from Java: `npm run test:faults -- subscribers` builds and runs their programs as a reader would. `npm test`
// does not take the time to compile, and reads them only.

const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)
const exec = promisify(execFile)
/** Kept beside the binaries of the stores, so that a second run has what the first fetched and compiled. */
const CACHE = join(binCache(), '../cache')

type Guide = {
  page: string
  /** What a reader needs, with the Debian package that has it. */
  needs: Record<string, string>
  /** Files of the reader's folder and the blocks that they are. */
  files: Record<string, string>
  env: Record<string, string>
}

const GUIDES: Guide[] = [
  {
    page: 'subscribe-go.md',
    needs: { go: 'golang-go' },
    files: { 'subscriber.go': 'go' },
    env: { GOPATH: join(CACHE, 'go'), GOCACHE: join(CACHE, 'go-build') }
  },
  {
    page: 'subscribe-java.md',
    needs: { java: 'openjdk-17-jdk-headless', mvn: 'maven' },
    files: { 'pom.xml': 'xml', 'Subscriber.java': 'java' },
    env: { MAVEN_OPTS: `-Dmaven.repo.local=${join(CACHE, 'maven')}` }
  }
]

/** The text of a guide's block, and of its commands those before and after its variables are there. */
async function readGuide({ page, files }: Guide) {
  const text = await readFile(join(REPOSITORY, 'docs', page), 'utf8')
  const block = (language: string) => new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(text)?.[1] ?? ''
  const [prepare = '', start = ''] = block('sh').split(/^eval .+$/m)
  return {
    prepare: prepare.trim(),
    start: start.trim(),
    files: Object.entries(files).map(([name, language]) => ({ name, text: block(language) }))
  }
}

// All that is waited for comes ahead of the first test: between two, tap would take it for the end.
const system = run.long ? await startSystem(t) : undefined
const guides = await Promise.all(
  GUIDES.map(async (guide) => {
    const missing = await Promise.all(
      Object.entries(guide.needs).map(([command, name]) => missingCommand(command, name))
    )
    return { guide, missing: missing.find(Boolean) }
  })
)

for (const { guide, missing } of guides) {
  t.test(`${guide.page} names what is there`, async (t) => {
    const { prepare, start, files } = await readGuide(guide)
    t.ok(prepare)
    t.ok(start)
    const program = files.map(({ text }) => text).join('\n')
    const event = /"(\w+(?:\.\w+)+\.v\d+)"/.exec(program)?.[1]
    t.ok(event !== undefined && declaredIn(contracts).events.has(event), `${event} is declared`)
    for (const part of ['SKERRY_URL', 'NATS_URL', 'NATS_USER', 'NATS_PASSWORD', '_INBOX_subscriber', '"subscriber"'])
      t.ok(program.includes(part), part)
  })

  if (system !== undefined)
    t.test(`the program of ${guide.page} gets each post, from where it was`, skipWithout(missing), (t) =>
      tryGuide(t, guide, system)
    )
}

async function tryGuide(t: Test, guide: Guide, { home, url }: { home: string; url: string }) {
  const { prepare, start, files } = await readGuide(guide)
  const folder = await mkdtemp(join(tmpdir(), 'skerry-subscriber-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  for (const { name, text } of files) await writeFile(join(folder, name), text)
  const env = { ...process.env, ...guide.env, ...(await subscriberVariables(home)) }
  t.comment(`progress: ${prepare.replaceAll('\n', '; ')}`)
  await exec('sh', ['-ec', prepare], { cwd: folder, env, timeout: run.limitMs / 2 })

  const name = guide.page.replaceAll(/\W|md$/g, '')
  const ada = await signUp(url, name)
  const post = async (text: string) => (await ada.call<{ id: string }>('POST', '/v1/posts', { text })).body.id
  const open = () => startSubscriber(t, 'sh', ['-ec', `exec ${start}`], { cwd: folder, env })
  const ids = [await post(`${name} one`), await post(`${name} two`)]
  const first = open()
  await first.printed(`${name} two`)
  ids.push(await post(`${name} three`))
  await first.printed(`${name} three`)
  // The acknowledgement of each was confirmed before the next was printed; of the last one it may be under way.
  ids.push(await post(`${name} four`))
  await first.printed(`${name} four`)
  await first.stop()
  const mine = (printed: { entity: string }[]) => printed.map(({ entity }) => entity).filter((id) => ids.includes(id))
  t.same(mine(first.events()), ids)

  ids.push(await post(`${name} five`))
  const second = open()
  await second.printed(`${name} five`)
  t.same(
    mine(second.events()).filter((id) => id !== ids[3]),
    [ids[4]],
    'what it has acknowledged does not come again'
  )
  await second.stop()
}
