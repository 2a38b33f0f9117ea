-- Three tenants' rows in the tables of policies/shop.sql.
INSERT INTO countries VALUES ('DE', 'Germany'), ('JP', 'Japan'), ('US', 'United States');
INSERT INTO customers VALUES
    ('acme', 1, 'Wile E. Coyote', 'US'), ('acme', 2, 'Road Runner', 'US'), ('acme', 3, 'Marvin', 'JP'),
    ('globex', 1, 'Hank Scorpio', 'US'), ('globex', 2, 'Greta Hahn', 'DE'),
    ('initech', 1, 'Peter Gibbons', 'US');
INSERT INTO products VALUES
    ('acme', 1, 'Anvil', 49.90), ('acme', 2, 'Rocket skates', 249.00), ('acme', 3, 'Giant magnet', 99.00),
    ('globex', 1, 'Weather machine', 9999.00), ('globex', 2, 'Hammock', 120.00),
    ('initech', 1, 'Red stapler', 12.50);
INSERT INTO orders VALUES
    ('acme', 1, 1, 'paid'), ('acme', 2, 1, 'new'), ('acme', 3, 2, 'new'),
    ('globex', 1, 2, 'new'), ('globex', 2, 1, 'paid'),
    ('initech', 1, 1, 'paid');
INSERT INTO order_items VALUES
    ('acme', 1, 1, 2), ('acme', 1, 3, 1), ('acme', 2, 2, 1), ('acme', 3, 1, 1),
    ('globex', 1, 2, 4), ('globex', 2, 1, 1), ('globex', 2, 2, 1),
    ('initech', 1, 1, 1);
INSERT INTO secrets VALUES (1, 'sk-live-0xC0FFEE');
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app;
