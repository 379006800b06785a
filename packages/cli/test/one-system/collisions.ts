import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Grant, Post } from '@skerry/contracts'
import type { System } from '@skerry/testing'
import { MongoClient } from 'mongodb'
import type { Test } from 'tap'
import { runCli } from '../helpers/cli.ts'

/** Operators see what was stored before and is one by now. */
export async function collisions(t: Test, system: System): Promise<void> {
  const listed = (...args: string[]) => runCli(['collisions', ...args], { SKERRY_HOME: system.home })
  const call = async <T>(path: string, body: object, token?: string): Promise<T> => {
    const response = await fetch(system.url + path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` })
      },
      body: JSON.stringify(body)
    })
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
    return (await response.json()) as T
  }
  const signUp = (username: string, email: string) =>
    call<Grant>('/v1/auth/signup', { username, email, password: 'correct horse' })
  const jane = await signUp('jane', 'j@xn--mnchen-3ya.example')
  const june = await signUp('june', 'june@example.com')
  const alone = await signUp('alone', 'alone@example.com')
  const post = (tag: string) => call<Post>('/v1/posts', { text: 'x', tags: [tag] }, jane.accessToken)
  const [now, before] = [await post('café'), await post('placeholder')]
  t.match(await listed(), { code: 0, out: /^no names collide: \d+ looked at, 0 of them in a form from before\n$/ })

  // As releases before names had one form stored them.
  const { apps } = JSON.parse(await readFile(join(system.home, 'secrets.json'), 'utf8'))
  const address = (await system.run()).processes.find(({ name }) => name === 'mongod')?.url
  const databaseOf = (app: string) => {
    const client = new MongoClient(`mongodb://${app}:${apps[app]}@${address}/?directConnection=true&authSource=admin`)
    t.teardown(() => client.close())
    return client.db(`skerry_${app}`)
  }
  const emails = databaseOf('auth').collection<{ _id: string; userId: string }>('emails')
  await emails.insertMany([
    { _id: 'j@münchen.example', userId: june.user.id },
    { _id: 'al\u200bone2@example.com', userId: alone.user.id }
  ])
  const tagged = databaseOf('content').collection<{ _id: string; authorId: string }>('tagged')
  await tagged.insertOne({ _id: `Cafe\u0301#${before.id}`, authorId: jane.user.id })

  const expected = [
    {
      kind: 'email',
      form: 'j@xn--mnchen-3ya.example',
      carriers: [
        { stored: 'j@xn--mnchen-3ya.example', ids: [jane.user.id] },
        { stored: 'j@münchen.example', ids: [june.user.id] }
      ]
    },
    {
      kind: 'tag',
      form: 'café',
      carriers: [
        { stored: 'café', ids: [now.id] },
        { stored: 'Cafe\u0301', ids: [before.id] }
      ]
    }
  ]
  const told = await listed('--json')
  t.equal(told.code, 0, told.errors)
  t.same(
    told.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
    expected
  )
  const { out } = await listed()
  t.match(
    out,
    `email j@xn--mnchen-3ya.example\n  j@xn--mnchen-3ya.example: ${jane.user.id}\n  j@münchen.example: ${june.user.id}\n`
  )
  t.match(out, `  Cafe<U+0301>: ${before.id}\n`)
  t.match(out, /\n2 names are stored in more than one form: \d+ looked at\n$/)
  t.match((await runCli(['help', 'collisions'], {})).out, /^\.\/skerry collisions/)
}
