import { Link } from '@tanstack/react-router';
import { Page } from './page.tsx';

export function NotFoundPage() {
  return (
    <Page title="No such page">
      <p>
        This release of the console has no page at this address. <Link to="/">Go to the overview</Link>
      </p>
    </Page>
  );
}
