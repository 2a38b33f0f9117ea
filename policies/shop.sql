-- The demo's shop, as it was written for one company; `tenant_id` was added later, and the application knows nothing of it.
CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE customers (tenant_id text NOT NULL, id int, name text NOT NULL, country text REFERENCES countries, PRIMARY KEY (tenant_id, id));
CREATE TABLE products (tenant_id text NOT NULL, id int, name text NOT NULL, price numeric(8,2) NOT NULL, PRIMARY KEY (tenant_id, id));
CREATE TABLE orders (
    tenant_id text NOT NULL, id int, customer_id int NOT NULL, status text NOT NULL DEFAULT 'new', PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES customers (tenant_id, id));
CREATE TABLE order_items (
    tenant_id text NOT NULL, order_id int, product_id int, quantity int NOT NULL, PRIMARY KEY (tenant_id, order_id, product_id),
    FOREIGN KEY (tenant_id, order_id) REFERENCES orders (tenant_id, id),
    FOREIGN KEY (tenant_id, product_id) REFERENCES products (tenant_id, id));
CREATE TABLE secrets (id int PRIMARY KEY, api_key text NOT NULL);
