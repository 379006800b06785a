import { followers, follows } from './follows.ts'
import { profiles } from './profiles.ts'
import { usernames } from './usernames.ts'

/** All that users stores, beside what events need. */
export const usersCollections = [profiles, usernames, follows, followers]
