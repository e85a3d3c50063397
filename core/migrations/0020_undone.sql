-- Whether a write is known to have arrived is asked of a delivery whenever its golden record is touched while it is under
-- way; without this it was a walk over every receipt there is.
CREATE INDEX receipt_delivery ON receipt (delivery);
-- What a golden record is still owed, beside the many deliveries that are done; and what came after one of them.
CREATE INDEX delivery_undone ON delivery (golden) WHERE state <> 'done';
DROP INDEX delivery_golden;
CREATE INDEX delivery_golden ON delivery (golden, id);
