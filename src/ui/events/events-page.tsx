/** The page "Events": what arrived and what it started; what was rejected and why; a form to publish one. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Button } from "../kit/button.tsx";
import { Tabs } from "../kit/tabs.tsx";
import { route, setQuery } from "../router.tsx";
import { readOnly } from "../shell/about.ts";
import { EventList } from "./event-list.tsx";
import { PublishForm } from "./publish-form.tsx";
import { RejectedList } from "./rejected-list.tsx";
import "./events.css";

type Tab = "arrived" | "rejected";

export function EventsPage(): JSX.Element {
  const { query } = route.value;
  const tab: Tab = query.get("tab") === "rejected" ? "rejected" : "arrived";
  const name = query.get("name") ?? "";
  const [publishing, setPublishing] = useState(false);
  return (
    <div class="events-page" data-publishing={publishing}>
      <div class="events-head">
        <h1>Events</h1>
        <Tabs<Tab>
          label="Events"
          tabs={[
            { id: "arrived", label: "Arrived" },
            { id: "rejected", label: "Rejected", hint: "What could not be used" },
          ]}
          active={tab}
          onSelect={(next) => setQuery({ tab: next === "arrived" ? undefined : next })}
        />
        {!readOnly.value && (
          <Button class="events-publish" aria-expanded={publishing} onClick={() => setPublishing(!publishing)}>
            {publishing ? "Close" : "Publish an event"}
          </Button>
        )}
      </div>
      <div class="events-body">
        {tab === "arrived" ? <EventList name={name} onPublish={() => setPublishing(true)} /> : <RejectedList />}
        {publishing && !readOnly.value && <PublishForm name={name} onClose={() => setPublishing(false)} />}
      </div>
    </div>
  );
}
