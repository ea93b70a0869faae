import { LEVELS, type Level, type Topic } from '@kahuna/console/protocol';

/** What each topic asks for where it is more than looking (console §5.5, §11). */
const TOPIC_LEVEL: Partial<Record<Topic, Level>> = { tree: 'reader', keys: 'reader', key: 'reader' };

export function isAtLeast(level: Level, wanted: Level): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(wanted);
}

export function topicLevel(topic: Topic): Level {
  return TOPIC_LEVEL[topic] ?? 'viewer';
}

/** The level of everybody: `--console-level`, capped at reader by `--console-readonly`. */
export function effectiveLevel(configured: string, readonly: boolean): Level {
  const level = LEVELS.find(l => l === configured) ?? 'viewer';
  return readonly && isAtLeast(level, 'reader') ? 'reader' : level;
}
