import { createClient } from '@skerry/sdk'

/** Who uses the system under load: everybody follows the three before them, and has posted. */
export type Person = { id: string; username: string; token: string; posts: string[] }

export const PASSWORD = 'correct horse battery'

/** Somebody new, with the client that is signed in as them. */
export async function signUp(baseUrl: string, username: string) {
  const client = createClient({ baseUrl })
  const grant = await client.auth.signup({ email: `${username}@example.com`, username, password: PASSWORD })
  // The profile is there from then on, whether its event has come or not.
  await client.users.me()
  return { client, id: grant.user.id, username, token: grant.accessToken }
}

/** Makes people with posts through the public API. */
export async function makePeople(baseUrl: string, count: number, postsEach: number): Promise<Person[]> {
  const people: Person[] = []
  for (let i = 0; i < count; i++) {
    const { client, ...person } = await signUp(baseUrl, `bench${i}`)
    const { username } = person
    const posts: string[] = []
    for (let p = 0; p < postsEach; p++) {
      posts.push(
        (
          await client.posts.create({
            text: `Post ${p} of ${username}. ${'Text of an ordinary length. '.repeat(8)}`,
            tags: ['bench']
          })
        ).id
      )
    }
    for (const other of people.slice(-3)) await client.users.follow(other.id)
    people.push({ ...person, posts })
  }
  return people
}
