import type { Grant } from '@skerry/contracts'
import { type System, waitFor } from '@skerry/testing'
import { MongoClient } from 'mongodb'
import { houseTokens } from './house-tokens.ts'
import type { Caller, Operation } from './operations.ts'
import { type Answer, request, signUp } from './phone.ts'

const PASSWORD = 'correct horse battery'

/** What an access matrix sends: the header of a caller, and a path and a body that would be right for the owner. */
export type People = {
  authorization(operation: Operation, caller: Caller): Promise<string | undefined>
  /** The path with what it names made for this request alone. Throws for what nobody here can make. */
  pathFor(operation: Operation): Promise<string>
  bodyFor(operation: Operation): Promise<unknown>
}

/** Operations whose caller has no token, session or password any more, or another one: each has an account of its own. */
const SPENDS_ITS_CALLER = new Set(['logout', 'deleteAccount', 'updateAccount', 'conduitUpdateUser'])
/** Queries of operations that need one. */
const QUERIES: Readonly<Record<string, string>> = { findUsers: '?username=third' }

/** Signs up owners and others, of the house and of Conduit. */
export async function accessPeople(system: System): Promise<People> {
  const base = system.url
  let number = 0
  const name = (word: string) => `${word}${number++}`
  const must = <T>({ status, body }: Answer<T>): T => {
    if (status >= 300) throw new Error(`what is to be named cannot be made: ${status} ${JSON.stringify(body)}`)
    return body
  }
  const conduit = async <T>(method: string, path: string, token: string | undefined, body?: unknown): Promise<T> =>
    must<T>(
      await request<T>(base, method, `/conduit/api${path}`, {
        ...(token === undefined ? {} : { headers: { authorization: `Token ${token}` } }),
        ...(body === undefined ? {} : { body })
      })
    )
  const joinConduit = async (username: string): Promise<string> => {
    const user = { username, email: `${username}@example.com`, password: PASSWORD }
    return (await conduit<{ user: { token: string } }>('POST', '/users', undefined, { user })).user.token
  }

  const owner = await signUp(base, 'owner')
  const other = await signUp(base, 'other')
  const third = await signUp(base, 'third')
  const tokens = await houseTokens(system.home, owner.grant.accessToken)
  const { sub, sid, ...claims } = JSON.parse(
    Buffer.from(owner.grant.accessToken.split('.')[1] ?? '', 'base64url').toString()
  ) as Record<string, unknown>
  const expired = tokens.sign({ sub, sid, ...claims, exp: Math.floor(Date.now() / 1_000) - 60 })
  const conduitOwner = await joinConduit('conduit-owner')
  const conduitOther = await joinConduit('conduit-other')
  const conduitExpired = await joinConduit('conduit-expired')
  await joinConduit('conduit-third')
  await expireConduit(system, conduitExpired)
  for (const phone of [owner, other, third]) must(await phone.call('GET', '/v1/users/me'))
  await waitFor(async () => (await owner.call('GET', `/v1/users/${third.grant.user.id}`)).status === 200)
  await waitFor(
    async () =>
      (
        await request(base, 'GET', '/conduit/api/profiles/conduit-third', {
          headers: { authorization: `Token ${conduitOwner}` }
        })
      ).status === 200
  )

  const signIn = async () =>
    must(await request<Grant>(base, 'POST', '/v1/auth/login', { body: { login: 'owner', password: PASSWORD } }))
  const post = async () => must(await owner.call('POST', '/v1/posts', { text: 'Mine.' })).id as string
  const id = async (answer: Promise<Answer>) => String(must(await answer).id)
  /** A new one takes the place of the one before. */
  const readyExport = async () => {
    const made = await id(owner.call('POST', '/v1/auth/account/exports', { currentPassword: PASSWORD }))
    await waitFor(async () => (await owner.call('GET', `/v1/auth/account/exports/${made}`)).body.state === 'ready')
    return made
  }
  /** Makes what a path names, by the path up to the name. */
  const make: Readonly<Record<string, (before: string) => Promise<string>>> = {
    '/v1/posts/{id}': post,
    '/v1/comments/{id}': async () => id(owner.call('POST', `/v1/posts/${await post()}/comments`, { text: 'Mine.' })),
    '/v1/users/{id}': async () => third.grant.user.id,
    '/v1/auth/sessions/{id}': async () => (await signIn()).session.id,
    '/v1/auth/account/exports/{id}': readyExport,
    '/v1/auth/account/deletions/{id}': async () =>
      id((await signUp(base, name('leaver'))).call('DELETE', '/v1/auth/account', { currentPassword: PASSWORD })),
    '/schemas/events/{file}': async () => 'content.post.created.v1.json',
    '/conduit/api/profiles/{username}': async () => 'conduit-third',
    '/conduit/api/articles/{slug}': async () => {
      const article = { title: name('An article '), description: 'Short.', body: 'Long.' }
      return (await conduit<{ article: { slug: string } }>('POST', '/articles', conduitOwner, { article })).article.slug
    },
    '/conduit/api/articles/{slug}/comments/{id}': async (before) => {
      const path = before.replace('/conduit/api', '')
      const made = await conduit<{ comment: { id: number } }>('POST', path, conduitOwner, {
        comment: { body: 'Mine.' }
      })
      return String(made.comment.id)
    }
  }
  /** Bodies of operations whose example is somebody's who is not here, or can be sent once. */
  const bodies: Readonly<Record<string, () => unknown>> = {
    signup: () => account(name('new')),
    conduitSignUp: () => ({ user: account(name('conduit-new')) }),
    login: () => ({ login: 'third', password: PASSWORD }),
    conduitLogIn: () => ({ user: { email: 'conduit-third@example.com', password: PASSWORD } }),
    refresh: async () => ({ refreshToken: (await signIn()).refreshToken }),
    updateAccount: () => ({ email: `${name('moved')}@example.com`, currentPassword: PASSWORD }),
    deleteAccount: () => ({ currentPassword: PASSWORD }),
    requestExport: () => ({ currentPassword: PASSWORD }),
    // Pictures cannot be uploaded yet.
    createPost: () => ({ text: 'New.' }),
    updateMe: () => ({ bio: 'Here.' }),
    conduitUpdateUser: () => ({ user: { bio: 'Here.' } })
  }

  return {
    async authorization({ id, scheme, path }, caller) {
      const house = scheme !== 'conduitToken' && !path.startsWith('/conduit/')
      const header = (token: string) => (house ? `Bearer ${token}` : `Token ${token}`)
      if (caller === 'no token') return undefined
      const good = house ? owner.grant.accessToken : conduitOwner
      if (caller === 'a broken token') return header(good.replace(/.{5}$/, 'wrong'))
      if (caller === 'an expired token') return header(house ? expired : conduitExpired)
      if (SPENDS_ITS_CALLER.has(id))
        return header(
          house ? (await signUp(base, name('spent'))).grant.accessToken : await joinConduit(name('conduit-spent'))
        )
      if (caller === "the owner's token") return header(good)
      return header(house ? other.grant.accessToken : conduitOther)
    },
    async pathFor({ id, path }) {
      let made = ''
      let template = ''
      for (const part of path.split(/(?<=\})/)) {
        template += part
        const named = /\{\w+\}$/.exec(part)
        made += part.slice(0, named?.index ?? part.length)
        if (named === null) continue
        const maker = make[template]
        if (maker === undefined) throw new Error(`nobody here can make what ${template} names`)
        made += encodeURIComponent(await maker(made.slice(0, -1)))
      }
      return made + (QUERIES[id] ?? '')
    },
    bodyFor: async ({ id, body }) => (bodies[id] === undefined ? body : bodies[id]())
  }
}

function account(username: string) {
  return { username, email: `${username}@example.com`, password: PASSWORD }
}

/** Conduit's tokens end with their session. */
async function expireConduit(system: System, token: string): Promise<void> {
  const { sid } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sid: string }
  const { MONGO_URL = '', MONGO_DATABASE = '' } = await system.envFor('conduit')
  const client = new MongoClient(MONGO_URL)
  try {
    const sessions = client.db(MONGO_DATABASE).collection<{ _id: string; expiresAt: Date }>('sessions')
    const { modifiedCount } = await sessions.updateOne(
      { _id: sid },
      { $set: { expiresAt: new Date(Date.now() - 1_000) } }
    )
    if (modifiedCount !== 1) throw new Error('the session that is to expire is not there')
  } finally {
    await client.close()
  }
}
