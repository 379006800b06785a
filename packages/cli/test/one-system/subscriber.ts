import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import * as contracts from '@skerry/contracts'
import { declaredIn } from '@skerry/contracts/compat'
import { typeOf } from '@skerry/events'
import { type System, skipWithout, waitFor } from '@skerry/testing'
import type { Test } from 'tap'
import { findUses } from '../../src/contracts/uses.ts'
import { REPOSITORY } from '../../src/repository.ts'
import { signUp } from '../helpers/phone.ts'
import { pythonPackages } from '../helpers/python.ts'
import { startSubscriber, subscriberVariables } from '../helpers/subscriber.ts'

/** The Python subscriber of the guide, and what is documented and known of events. It comes first: it gets every post of the system. */
export async function subscriber(t: Test, system: System): Promise<void> {
  const guide = await readFile(join(REPOSITORY, 'docs/subscribe-python.md'), 'utf8')
  const requirements = /pip install (.+)$/m.exec(guide)?.[1]?.split(' ') ?? []
  const program = /```python\n([\s\S]*?)```/.exec(guide)?.[1] ?? ''
  const packages = await pythonPackages(requirements)
  const declared = declaredIn(contracts)
  /** The services that run, and the subjects of their events. */
  const { processes } = await system.run()
  const live = new Set(processes.flatMap(({ name, ops }) => (ops === null || name === 'gateway' ? [] : [name])))
  const published = [...declared.events].filter(([, event]) => live.has(contracts.ownerOf(event))).map(([name]) => name)

  /** The program of the guide, in a file of its own. */
  async function startPython(t: Test) {
    const home = await mkdtemp(join(tmpdir(), 'skerry-python-'))
    t.teardown(() => rm(home, { recursive: true, force: true }))
    await writeFile(join(home, 'subscriber.py'), program)
    return startSubscriber(t, 'python3', [join(home, 'subscriber.py')], {
      cwd: home,
      env: {
        PATH: process.env.PATH,
        ...(await subscriberVariables(system.home)),
        PYTHONPATH: 'folder' in packages ? packages.folder : ''
      }
    })
  }

  const needs = skipWithout('missing' in packages ? packages.missing : undefined)
  t.test('the Python subscriber of the guide gets each post, from where it was', needs, async (t) => {
    const pia = await signUp(system.url, 'pia')
    const post = async (text: string) => (await pia.call<{ id: string }>('POST', '/v1/posts', { text })).body.id
    const ids = [await post('one'), await post('two')]
    const first = await startPython(t)
    await first.printed('two')
    ids.push(await post('three'))
    await first.printed('three')
    t.same(
      first.events().map(({ entity, text }) => [entity, text]),
      [
        [ids[0], 'one'],
        [ids[1], 'two'],
        [ids[2], 'three']
      ]
    )
    const nc = await admin(t)
    const jsm = await jetstreamManager(nc)
    await waitFor(async () => (await jsm.consumers.info('content', 'subscriber')).num_ack_pending === 0)
    await first.stop()

    ids.push(await post('four'))
    const second = await startPython(t)
    await second.printed('four')
    t.same(
      second.events().map(({ entity }) => entity),
      [ids[3]],
      'what it has acknowledged does not come again'
    )
  })

  t.test('every event of the live services is in the document, with its schema', async (t) => {
    const subjects = async () => {
      const { channels } = (await (await fetch(`${system.url}/asyncapi.json`)).json()) as { channels: object }
      return Object.keys(channels)
    }
    // One that could not be had in time at first is fetched by the next look.
    await waitFor(async () => (await subjects()).length >= published.length)
    t.same(await subjects(), published)
    for (const subject of published) {
      const schema = await fetch(`${system.url}/schemas/events/${subject}.json`)
      t.match(await schema.json(), { $id: `urn:skerry:event:${subject}` })
    }
  })

  t.test('who consumes what is known from the sources', async (t) => {
    const uses = await findUses(REPOSITORY, contracts, declared)
    const jsm = await jetstreamManager(await admin(t))
    let found = 0
    for (const stream of new Set([...declared.events.values()].map(contracts.ownerOf).filter((name) => live.has(name))))
      for await (const { name, config } of jsm.consumers.list(stream)) {
        const service = name.split('--')[0]!
        if (!live.has(service)) continue
        for (const subject of [...(config.filter_subjects ?? []), config.filter_subject ?? []].flat()) {
          // What a service plans for itself is nobody else's business, and no contract.
          if (subject.startsWith(`${service}.job.`)) continue
          // What a package of all services consumes, it consumes for this one.
          const known = (uses.get(typeOf(subject)) ?? []).some(({ by }) => by === service || !live.has(by))
          t.ok(known, `${name} consumes ${subject}`)
          found++
        }
      }
    t.ok(found >= 15, `${found} subscriptions`)
  })

  async function admin(t: Test) {
    const secrets = JSON.parse(await readFile(join(system.home, 'secrets.json'), 'utf8'))
    const { NATS_URL } = await subscriberVariables(system.home)
    const nc = await connect({ servers: NATS_URL!, user: 'admin', pass: secrets.natsAdmin })
    t.teardown(() => nc.close())
    return nc
  }
}
