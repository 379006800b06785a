import type { Profile } from '@skerry/contracts'
import type { ProfileDocument } from '../data/profiles.ts'

/** A stored profile as the API shows it. */
export function presentProfile(profile: ProfileDocument): Profile {
  const { _id: id, username, displayName, bio, counts, version } = profile
  return {
    id,
    username,
    displayName,
    bio,
    avatar: null,
    counts,
    createdAt: profile.createdAt.toISOString(),
    updatedAt: profile.updatedAt.toISOString(),
    version
  }
}

/** The payload of users.profile.created and .updated. */
export function profileEvent(profile: ProfileDocument) {
  const { _id: userId, username, displayName, bio, version } = profile
  return { userId, username, displayName, bio, avatar: null, version }
}
