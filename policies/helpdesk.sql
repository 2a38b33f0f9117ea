-- The schema of helpdesk.yaml: what the application made, and the tenant column that was added to it.
CREATE TABLE priorities (name text PRIMARY KEY, hours int NOT NULL);
CREATE TABLE agents (id bigint PRIMARY KEY, email text NOT NULL, org_id text NOT NULL, UNIQUE (org_id, email));
CREATE TABLE tickets (id bigint PRIMARY KEY, agent_id bigint, title text NOT NULL, priority text REFERENCES priorities, closed boolean NOT NULL DEFAULT false,
    org_id text NOT NULL, UNIQUE (org_id, id));
CREATE TABLE messages (ticket_id bigint NOT NULL REFERENCES tickets ON DELETE CASCADE, at timestamptz NOT NULL DEFAULT now(), body text NOT NULL);
CREATE VIEW open_tickets AS SELECT * FROM tickets WHERE NOT closed;
