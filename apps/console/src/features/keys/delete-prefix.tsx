import { Modal, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { ActionDialog } from '../../operations/action-dialog.tsx';
import type { DurabilityName } from '../../protocol/messages.ts';

interface DeletePrefixProps {
  /** Where the question begins; the user may narrow it. */
  readonly prefix: string;
  readonly durability: DurabilityName;
  readonly onClose: () => void;
}

/** Deletes every key whose name begins with a text: first which, then how many and the confirmation (console §6.6, §7.2). */
export function DeletePrefix({ prefix, durability, onClose }: DeletePrefixProps) {
  const [text, setText] = useState(prefix);
  const [asked, setAsked] = useState<string>();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (text !== '') setAsked(text);
  };
  if (asked !== undefined) {
    return (
      <ActionDialog
        title="Delete all these keys?"
        verb="Delete all"
        request={{ kind: 'delete-prefix', params: { prefix: asked, durability }, expect: {} }}
        onClose={onClose}
      >
        <p>
          Every live {durability} key whose name begins with <code>{asked}</code>
        </p>
      </ActionDialog>
    );
  }
  return (
    <Modal
      opened
      onClose={onClose}
      title="Delete all keys that begin with…"
      size="lg"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <form onSubmit={submit} className="action">
        <TextInput
          label="Names begin with"
          description="A text that ends in / is a key space and everything below it."
          className="mono-input"
          spellCheck={false}
          autoComplete="off"
          data-autofocus
          value={text}
          onChange={event => setText(event.currentTarget.value)}
        />
        <div className="buttons">
          <button type="button" className="text-button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className="text-button primary" disabled={text === ''}>
            Count them…
          </button>
        </div>
      </form>
    </Modal>
  );
}
