import {
  authRoutes,
  type BodyOf,
  contentRoutes,
  type Grant,
  type QueryOf,
  type RouteContract,
  usersRoutes
} from '@skerry/contracts'
import type { AnyInput } from './call.ts'
import type { SessionKeeper } from './session.ts'
import type { Answer, CallOptions } from './types.ts'

export type ApiDeps = {
  call: (route: RouteContract, input?: AnyInput) => Promise<unknown>
  session: () => SessionKeeper
}

/** The routes as methods: each only names its route and where its arguments go. */
export function createApi({ call, session }: ApiDeps) {
  const to = <R extends RouteContract, O extends CallOptions>(route: R, input: AnyInput, options: O | undefined) =>
    call(route, { ...options, ...input }) as Promise<Answer<R, O>>

  async function signIn(route: RouteContract, body: object, options: CallOptions): Promise<Grant> {
    const grant = (await call(route, { ...options, body })) as Grant
    await session().accept(grant)
    return grant
  }

  const auth = {
    /** Makes an account; this client is signed in afterwards. */
    signup: (body: BodyOf<typeof authRoutes.signup>, options: CallOptions = {}) =>
      signIn(authRoutes.signup, body, options),
    /** Signs in with email or username. */
    login: (body: BodyOf<typeof authRoutes.login>, options: CallOptions = {}) =>
      signIn(authRoutes.login, body, options),
    /** Renews the access token now; calls do it by themselves. */
    refresh: async () => {
      const mine = await session().current()
      if (mine !== null) await session().renew(mine.accessToken)
    },
    /** Ends the session here in any case, and on the server when it can be reached (else it throws). */
    logout: (options: CallOptions = {}) => session().leave(() => call(authRoutes.logout, { ...options, safe: true })),
    /** Who is signed in on this device, without asking the server; null for nobody. */
    current: async () => (await session().current())?.user ?? null,
    sessions: <O extends CallOptions>(query: QueryOf<typeof authRoutes.listSessions> = {}, options?: O) =>
      to(authRoutes.listSessions, { query }, options),
    endSession: <O extends CallOptions>(id: string, options?: O) =>
      to(authRoutes.endSession, { params: { id } }, options),
    updateAccount: <O extends CallOptions>(body: BodyOf<typeof authRoutes.updateAccount>, options?: O) =>
      to(authRoutes.updateAccount, { body }, options),
    /**
     * Deletes the account and all that every service has of its owner; this client is signed out afterwards. Keep the id of the answer: with
     * it `deletion` tells, to anybody, how far it has come.
     */
    deleteAccount: async (proof: { currentPassword?: string } = {}, options: CallOptions = {}) => {
      // The server answers a repeat with the same deletion.
      const request = { ...options, body: proof, safe: true }
      const answer = (await session().leaveBy(() => call(authRoutes.deleteAccount, request))) as Answer<
        typeof authRoutes.deleteAccount
      >
      await session().clear()
      return answer
    },
    deletion: <O extends CallOptions>(id: string, options?: O) =>
      to(authRoutes.getDeletion, { params: { id } }, options),
    /** Asks for all that every service has of this user; `exportStatus` tells when it is ready. */
    requestExport: <O extends CallOptions>(proof: BodyOf<typeof authRoutes.requestExport> = {}, options?: O) =>
      to(authRoutes.requestExport, { body: proof }, options),
    exportStatus: <O extends CallOptions>(id: string, options?: O) =>
      to(authRoutes.getExport, { params: { id } }, options),
    /** A finished export, read into memory as a whole: it may be large, so give it a `timeoutMs`. */
    downloadExport: <O extends CallOptions>(id: string, options?: O) =>
      to(authRoutes.downloadExport, { params: { id } }, options)
  }

  const users = {
    me: <O extends CallOptions>(options?: O) => to(usersRoutes.getMe, {}, options),
    updateMe: <O extends CallOptions>(body: BodyOf<typeof usersRoutes.updateMe>, options?: O) =>
      to(usersRoutes.updateMe, { body }, options),
    get: <O extends CallOptions>(id: string, options?: O) => to(usersRoutes.getUser, { params: { id } }, options),
    find: <O extends CallOptions>(query: QueryOf<typeof usersRoutes.findUsers>, options?: O) =>
      to(usersRoutes.findUsers, { query }, options),
    follow: <O extends CallOptions>(id: string, options?: O) => to(usersRoutes.follow, { params: { id } }, options),
    unfollow: <O extends CallOptions>(id: string, options?: O) => to(usersRoutes.unfollow, { params: { id } }, options),
    followers: <O extends CallOptions>(id: string, query: QueryOf<typeof usersRoutes.followers> = {}, options?: O) =>
      to(usersRoutes.followers, { params: { id }, query }, options),
    following: <O extends CallOptions>(id: string, query: QueryOf<typeof usersRoutes.following> = {}, options?: O) =>
      to(usersRoutes.following, { params: { id }, query }, options)
  }

  const posts = {
    create: <O extends CallOptions>(body: BodyOf<typeof contentRoutes.createPost>, options?: O) =>
      to(contentRoutes.createPost, { body }, options),
    get: <O extends CallOptions>(id: string, options?: O) => to(contentRoutes.getPost, { params: { id } }, options),
    update: <O extends CallOptions>(id: string, body: BodyOf<typeof contentRoutes.updatePost>, options?: O) =>
      to(contentRoutes.updatePost, { params: { id }, body }, options),
    delete: <O extends CallOptions>(id: string, options?: O) =>
      to(contentRoutes.deletePost, { params: { id } }, options),
    list: <O extends CallOptions>(query: QueryOf<typeof contentRoutes.listPosts> = {}, options?: O) =>
      to(contentRoutes.listPosts, { query }, options),
    like: <O extends CallOptions>(id: string, options?: O) => to(contentRoutes.like, { params: { id } }, options),
    unlike: <O extends CallOptions>(id: string, options?: O) => to(contentRoutes.unlike, { params: { id } }, options)
  }

  const trends = {
    list: <O extends CallOptions>(query: QueryOf<typeof contentRoutes.trends> = {}, options?: O) =>
      to(contentRoutes.trends, { query }, options)
  }

  const comments = {
    create: <O extends CallOptions>(postId: string, body: BodyOf<typeof contentRoutes.createComment>, options?: O) =>
      to(contentRoutes.createComment, { params: { id: postId }, body }, options),
    list: <O extends CallOptions>(
      postId: string,
      query: QueryOf<typeof contentRoutes.listComments> = {},
      options?: O
    ) => to(contentRoutes.listComments, { params: { id: postId }, query }, options),
    delete: <O extends CallOptions>(id: string, options?: O) =>
      to(contentRoutes.deleteComment, { params: { id } }, options)
  }

  const feed = {
    list: <O extends CallOptions>(query: QueryOf<typeof contentRoutes.feed> = {}, options?: O) =>
      to(contentRoutes.feed, { query }, options)
  }

  return { auth, users, posts, comments, feed, trends }
}
