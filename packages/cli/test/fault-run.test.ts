import { access, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { type FaultRunOptions, runFaults } from '../src/fault-run/index.ts'
import { PARTS, type Part, split } from '../src/fault-run/parts.ts'
import { REPOSITORY } from '../src/repository.ts'

t.setTimeout(600_000)
const folder = 'packages/cli'
const rounds = (name: string, each = 2): Part[] =>
  split({ name, proves: 'rounds', folder, file: 'test/fixtures/fault-rounds.ts', minutes: 1 }, 4, each)
const whole: Part = { name: 'whole', proves: 'a whole', folder, file: 'test/fixtures/fault-whole.ts', minutes: 1 }
const empty: Part = { name: 'empty', proves: 'nothing', folder, file: 'test/fixtures/fault-empty.ts', minutes: 1 }

type Run = { code: number; text: string; lines: string[]; begun: string[] }

/** Runs fixtures as parts; `begun` are the rounds that began in this run, as they told it. */
function prepare(t: Test, parts: readonly Part[]) {
  const home = t.testdir({})
  const log = join(home, 'begun')
  return {
    home,
    log,
    async run(options: Partial<FaultRunOptions> = {}, env: Record<string, string> = {}): Promise<Run> {
      await writeFile(log, '')
      const given = { FIXTURE: '{}', FIXTURE_WHOLE: '', FIXTURE_LOG: log, ...env }
      Object.assign(process.env, given)
      const lines: string[] = []
      try {
        const write = (line: string) => void lines.push(line)
        const code = await runFaults({ repo: REPOSITORY, home, commit: 'c0ffee', names: [], parts, write, ...options })
        const begun = (await readFile(log, 'utf8')).split('\n').filter(Boolean)
        return { code, text: lines.join('\n'), lines, begun }
      } finally {
        for (const name of Object.keys(given)) delete process.env[name]
      }
    }
  }
}
const numbers = ({ begun }: Run) => begun.map((line) => Number.parseInt(line, 10))

t.test('every part has a file, rounds of its own, and fits into its time', async (t) => {
  t.equal(new Set(PARTS.map(({ name }) => name)).size, PARTS.length)
  for (const part of PARTS) {
    await access(join(REPOSITORY, part.folder, part.file))
    t.ok(part.minutes <= 15, `${part.name} has twice its time on a busy machine`)
    const source = await readFile(join(REPOSITORY, part.folder, part.file), 'utf8')
    t.match(source, /faultRun\(/, `${part.file} reads what it is told`)
    t.match(source, /t\.setTimeout\(run\.limitMs\)/, `${part.file} has the part's time`)
  }
  const seen = PARTS.flatMap((part) => (part.rounds ?? [0]).map((round) => `${part.file} ${part.folder} ${round}`))
  t.equal(new Set(seen).size, seen.length, 'no round is run twice')
})

t.test('parts run one after the other, show how far they are, and are summed up', async (t) => {
  const { run, home } = prepare(t, [...rounds('kills'), whole])
  const ended = await run()
  t.equal(ended.code, 0, ended.text)
  t.same(numbers(ended), [1, 2, 3, 4])
  t.match(ended.text, /^\[1\/3\] kills-1 round 1 \(1 of 2\): rounds · \d+ s, about .* left$/m)
  t.match(ended.text, /^\[2\/3\] kills-2 round 4 \(2 of 2\): passed after \d+ s · .*, about .* left$/m)
  t.match(ended.text, /^\[3\/3\] whole: passed after/m)
  t.match(ended.text, /^5 passed, 0 failed, 0 skipped$/m)
  t.match(await readFile(join(home, 'faults/c0ffee/kills-2-seed-1.log'), 'utf8'), /^ok 2 - round 4 /m)
  const temporary = ended.begun.map((line) => line.split(' ').at(-1)!)
  t.equal(new Set(temporary).size, 2, 'each part has a folder for temporary files')
  for (const path of temporary) await t.rejects(access(path), { code: 'ENOENT' }, 'which is gone at its end')
})

t.test('parts by their name, rounds by their number, a fate by the seed', async (t) => {
  const { run } = prepare(t, [...rounds('kills'), whole])
  const all = await run({ names: ['kills'], seed: '7' })
  t.same(numbers(all), [1, 2, 3, 4])
  const alone = await run({ names: ['kills'], rounds: '3', seed: '7' })
  const fate = ({ begun }: Run, round: number) => begun.find((line) => line.startsWith(`${round} `))?.split(' ')[3]
  t.equal(fate(alone, 3), fate(all, 3), 'a round has the same fate alone')
  t.same(numbers(alone), [3])
  const other = await run({ names: ['kills-2'], rounds: '3', seed: '8' })
  t.not(fate(other, 3), fate(all, 3))
  t.match(await run({ list: true }), { code: 0, text: /kills-2 +3-4 +2 min 00 s/, begun: [] })
  for (const [options, why] of [
    [{ names: ['kill'] }, /there is no part "kill": there are kills-1, kills-2, whole/],
    [{ rounds: '5' }, /there is no round 5/],
    [{ rounds: '4-2' }, /"4-2" names no rounds/],
    [{ rounds: '0' }, /"0" names no rounds/],
    [{ seed: 'x' }, /--seed x is no whole number/]
  ] as const)
    t.match(await run(options as Partial<FaultRunOptions>), { code: 1, text: why, begun: [] })
})

t.test('a round that fails is named, those after it are skipped, and a failure stays one', async (t) => {
  const { run } = prepare(t, [...rounds('kills', 4), whole])
  const first = await run({}, { FIXTURE: '{"2":"fails"}' })
  t.equal(first.code, 1)
  t.same(numbers(first), [1, 2])
  t.match(first.text, /^failed: kills-1 round 2: see its log$/m)
  t.match(first.text, /^skipped: kills-1 rounds 3-4: an earlier round failed$/m)
  t.match(first.text, /^2 passed, 1 failed, 2 skipped$/m)
  const resumed = await run({ resume: true })
  t.same(numbers(resumed), [3, 4], 'what came to its end is not run again')
  t.equal(resumed.code, 1, 'and its failure is not forgotten')
  t.match(resumed.text, /^4 passed, 1 failed, 0 skipped$/m)
  const anew = await run()
  t.same(numbers(anew), [1, 2, 3, 4])
  t.equal(anew.code, 0)
})

t.test('what is skipped for want of a tool has not passed', async (t) => {
  const { run } = prepare(t, [...rounds('kills', 4), whole])
  const ended = await run({}, { FIXTURE: '{"3":"skips"}', FIXTURE_WHOLE: 'skips' })
  t.same(numbers(ended), [1, 2, 4])
  t.match(ended.text, /^skipped: kills-1 round 3: there is no tool$/m)
  t.match(ended.text, /^skipped: whole: there is no tool$/m)
  t.match(ended.text, /^3 passed, 0 failed, 2 skipped$/m)
  t.same(numbers(await run({ resume: true })), [3], 'and is tried again')
})

t.test('what was found of other sources or with another seed is not taken for these', async (t) => {
  const { run } = prepare(t, [whole])
  const commit = { resume: true, commit: 'decaf' }
  t.match(await run(commit), { code: 0, text: /^\[1\/1\] whole: passed/m })
  t.notMatch((await run(commit)).text, /^\[1\/1\]/m)
  t.match((await run({ resume: true })).text, /^\[1\/1\] whole: passed/m)
  t.match((await run({ ...commit, seed: '2' })).text, /^\[1\/1\] whole: passed/m)
})

t.test('a part that crashes, fails as a whole, or tests nothing has failed', async (t) => {
  const { run } = prepare(t, [...rounds('kills', 4), whole, empty])
  const ended = await run({}, { FIXTURE: '{"3":"crashes"}', FIXTURE_WHOLE: 'fails' })
  t.equal(ended.code, 1)
  t.match(ended.text, /^failed: kills-1 round 3: /m)
  t.match(ended.text, /^failed: whole: /m)
  t.match(ended.text, /^failed: empty: /m)
  t.match(ended.text, /^2 passed, 3 failed, 1 skipped$/m)
})

t.test('a part that takes too long is ended; so it is by a signal; both go on from there', async (t) => {
  const { run, log } = prepare(t, rounds('kills', 4))
  // Whether it has come to the round by then or not.
  const late = await run({ limitMinutes: 0.05, rounds: '3' }, { FIXTURE: '{"3":"hangs"}' })
  t.equal(late.code, 1)
  t.match(late.text, /^late: kills-1 round 3: it did not end within 3 s$/m)
  t.match(late.text, /^0 passed, 1 failed, 0 skipped$/m)

  const running = run({ resume: true }, { FIXTURE: '{"4":"hangs"}' })
  await waitFor(async () => /^4 /m.test(await readFile(log, 'utf8')), { timeoutMs: 120_000, message: 'round 4 begins' })
  process.kill(process.pid, 'SIGINT')
  const interrupted = await running
  t.equal(interrupted.code, 130)
  t.same(numbers(interrupted), [1, 2, 3, 4], 'what was late has not come to its end')
  t.match(interrupted.text, /^3 passed, 0 failed, 1 skipped$/m)
  t.match(interrupted.text, /^--resume goes on from here$/m)

  const resumed = await run({ resume: true })
  t.equal(resumed.code, 0)
  t.same(numbers(resumed), [4])
  t.match(resumed.text, /^4 passed, 0 failed, 0 skipped$/m)
  const nothing = await run({ resume: true })
  t.same(nothing.begun, [])
  t.equal(nothing.code, 0)
})
