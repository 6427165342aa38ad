# The role model of policies/*.cedar, written the way Oso's library wants it: roles are held on a tenant, permissions
# follow from roles through resource blocks, and what blocks cannot say (limits, forbids, the request's context) is rules.
#
# The library's `allow` takes three arguments and refuses a rule with four: what is said about the request itself has no
# place of its own, so it comes with the action.

allow(actor: User, asked: Asked, resource) if
  not forbidden(actor, asked.action, resource, asked.context) and
  permitted(actor, asked.action, resource, asked.context);

permitted(actor: User, action: String, resource, _context: Dictionary) if
  has_permission(actor, action, resource);

# ---- who

actor User {}

resource Tenant {
  roles = [
    "Anonymous", "Cashier", "Support", "InventoryClerk", "Auditor", "Manager", "Admin", "Service", "SuperAdmin"
  ];
  "Cashier" if "Manager";
  "InventoryClerk" if "Manager";
}

has_role(user: User, name: String, tenant: Tenant) if
  user.tenant = tenant.name and name in user.roles;

# A role on a tenant is a role on what belongs to it: the wall between tenants is that there is no other way in. One line
# a type: a relation for all of them at once (`it: Resource`) is refused at load.
has_relation(tenant: Tenant, "tenant", it: Product) if tenant = it.tenant;
has_relation(tenant: Tenant, "tenant", it: Order) if tenant = it.tenant;
has_relation(tenant: Tenant, "tenant", it: Stock) if tenant = it.tenant;
has_relation(tenant: Tenant, "tenant", it: LoyaltyAccount) if tenant = it.tenant;
has_relation(tenant: Tenant, "tenant", it: Payment) if tenant = it.tenant;
has_relation(tenant: Tenant, "tenant", it: Customer) if tenant = it.tenant;
has_relation(tenant: Tenant, "tenant", it: Integration) if tenant = it.tenant;
has_relation(tenant: Tenant, "tenant", it: AuditLog) if tenant = it.tenant;
has_relation(tenant: Tenant, "tenant", it: Gateway) if tenant = it.tenant;

# ---- the roles whose power is not about one kind of resource

has_permission(user: User, _action: String, resource: Resource) if
  not resource matches Gateway and
  has_role(user, "Admin", resource.tenant);

permitted(user: User, _action: String, resource: Resource, context: Dictionary) if
  is_platforms_super_admin(user) and
  (resource.tenant.name = user.tenant or context.cross_tenant = true);

is_platforms_super_admin(user: User) if
  user.tenant = "platform" and "SuperAdmin" in user.roles;

# ---- what overrides

forbidden(_user: User, "order:discount", _: Order, context: Dictionary) if
  context.percent < 0 or context.percent > 100;

forbidden(_user: User, "payment:refund", _: Payment, context: Dictionary) if
  context.amount <= 0;

forbidden(user: User, _action: String, log: AuditLog, _context: Dictionary) if
  log.id = "-" and
  not reads_what_belongs_to_nobody(user);

reads_what_belongs_to_nobody(user: User) if user.tenant = "platform" and "Auditor" in user.roles;
reads_what_belongs_to_nobody(user: User) if is_platforms_super_admin(user);

# ---- limits

permitted(user: User, "order:discount", order: Order, context: Dictionary) if
  has_role(user, "Cashier", order.tenant) and context.percent >= 0 and context.percent <= 10;
permitted(user: User, "order:discount", order: Order, context: Dictionary) if
  has_role(user, "Manager", order.tenant) and context.percent >= 0 and context.percent <= 50;

permitted(user: User, "loyalty:adjust", account: LoyaltyAccount, context: Dictionary) if
  has_role(user, "Manager", account.tenant) and context.points >= -5000 and context.points <= 5000;

permitted(user: User, "payment:refund", payment: Payment, context: Dictionary) if
  has_role(user, "Manager", payment.tenant) and context.amount <= 50000;

# ---- product

resource Product {
  permissions = [
    "product:browse", "product:list", "product:read", "product:create", "product:update", "product:price",
    "product:retire", "product:import", "product:export", "data:see_pii", "data:see_payment", "data:see_secret"
  ];
  relations = { tenant: Tenant };

  "product:browse" if "Cashier" on "tenant";
  "product:browse" if "Support" on "tenant";
  "product:browse" if "InventoryClerk" on "tenant";
  "product:browse" if "Service" on "tenant";
  "product:list" if "Cashier" on "tenant";
  "product:list" if "Support" on "tenant";
  "product:list" if "InventoryClerk" on "tenant";
  "product:list" if "Service" on "tenant";
  "product:read" if "Cashier" on "tenant";
  "product:read" if "Support" on "tenant";
  "product:read" if "InventoryClerk" on "tenant";
  "product:read" if "Service" on "tenant";
  "product:create" if "Manager" on "tenant";
  "product:update" if "Manager" on "tenant";
  "product:price" if "Manager" on "tenant";
  "product:retire" if "Manager" on "tenant";
  "product:export" if "Manager" on "tenant";
  "product:import" if "Manager" on "tenant";
  "product:import" if "Service" on "tenant";
  "data:see_pii" if "Cashier" on "tenant";
  "data:see_payment" if "Cashier" on "tenant";
}

# The public catalogue is there for people without a tenant, whose it ever is.
has_permission(user: User, "product:browse", _: Product) if
  "Anonymous" in user.roles and user.tenant = "-";
has_permission(user: User, "product:browse", product: Product) if
  has_role(user, "Anonymous", product.tenant);

# ---- order

resource Order {
  permissions = [
    "order:list", "order:read", "order:create", "order:update", "order:cancel", "order:fulfil", "order:export",
    "order:discount", "data:see_pii", "data:see_payment", "data:see_secret"
  ];
  relations = { tenant: Tenant };

  "order:list" if "Cashier" on "tenant";
  "order:list" if "Support" on "tenant";
  "order:list" if "Service" on "tenant";
  "order:read" if "Cashier" on "tenant";
  "order:read" if "Support" on "tenant";
  "order:read" if "Service" on "tenant";
  "order:create" if "Cashier" on "tenant";
  "order:update" if "Cashier" on "tenant";
  "order:fulfil" if "Cashier" on "tenant";
  "order:fulfil" if "InventoryClerk" on "tenant";
  "order:cancel" if "Manager" on "tenant";
  "order:export" if "Manager" on "tenant";
  "data:see_pii" if "Cashier" on "tenant";
  "data:see_payment" if "Cashier" on "tenant";
}

# ---- inventory

resource Stock {
  permissions = [
    "inventory:list", "inventory:read", "inventory:watch", "inventory:receive", "inventory:count", "inventory:adjust",
    "inventory:transfer", "inventory:reserve", "inventory:release", "data:see_pii", "data:see_payment",
    "data:see_secret"
  ];
  relations = { tenant: Tenant };

  "inventory:list" if "Cashier" on "tenant";
  "inventory:list" if "Support" on "tenant";
  "inventory:list" if "InventoryClerk" on "tenant";
  "inventory:list" if "Service" on "tenant";
  "inventory:read" if "Cashier" on "tenant";
  "inventory:read" if "Support" on "tenant";
  "inventory:read" if "InventoryClerk" on "tenant";
  "inventory:read" if "Service" on "tenant";
  "inventory:watch" if "InventoryClerk" on "tenant";
  "inventory:receive" if "InventoryClerk" on "tenant";
  "inventory:count" if "InventoryClerk" on "tenant";
  "inventory:adjust" if "InventoryClerk" on "tenant";
  "inventory:transfer" if "InventoryClerk" on "tenant";
  "inventory:reserve" if "Cashier" on "tenant";
  "inventory:reserve" if "InventoryClerk" on "tenant";
  "inventory:reserve" if "Service" on "tenant";
  "inventory:release" if "Cashier" on "tenant";
  "inventory:release" if "InventoryClerk" on "tenant";
  "inventory:release" if "Service" on "tenant";
  "data:see_pii" if "Cashier" on "tenant";
  "data:see_payment" if "Cashier" on "tenant";
}

# ---- loyalty

resource LoyaltyAccount {
  permissions = [
    "loyalty:list", "loyalty:read", "loyalty:history", "loyalty:enrol", "loyalty:earn", "loyalty:redeem",
    "loyalty:close", "loyalty:adjust", "data:see_pii", "data:see_payment", "data:see_secret"
  ];
  relations = { tenant: Tenant };

  "loyalty:read" if "Cashier" on "tenant";
  "loyalty:read" if "Support" on "tenant";
  "loyalty:history" if "Cashier" on "tenant";
  "loyalty:history" if "Support" on "tenant";
  "loyalty:list" if "Support" on "tenant";
  "loyalty:list" if "Manager" on "tenant";
  "loyalty:enrol" if "Cashier" on "tenant";
  "loyalty:earn" if "Cashier" on "tenant";
  "loyalty:redeem" if "Cashier" on "tenant";
  "loyalty:close" if "Manager" on "tenant";
  "data:see_pii" if "Cashier" on "tenant";
  "data:see_payment" if "Cashier" on "tenant";
}

# ---- payment

resource Payment {
  permissions = [
    "payment:list", "payment:read", "payment:create", "payment:confirm", "payment:cancel", "payment:request_refund",
    "payment:read_refund", "payment:report", "payment:refund", "data:see_pii", "data:see_payment", "data:see_secret"
  ];
  relations = { tenant: Tenant };

  "payment:read" if "Cashier" on "tenant";
  "payment:create" if "Cashier" on "tenant";
  "payment:confirm" if "Cashier" on "tenant";
  "payment:cancel" if "Cashier" on "tenant";
  "payment:read" if "Support" on "tenant";
  "payment:read" if "Manager" on "tenant";
  "payment:request_refund" if "Support" on "tenant";
  "payment:request_refund" if "Manager" on "tenant";
  "payment:read_refund" if "Support" on "tenant";
  "payment:read_refund" if "Manager" on "tenant";
  "payment:list" if "Manager" on "tenant";
  "payment:report" if "Manager" on "tenant";
  "data:see_pii" if "Cashier" on "tenant";
  "data:see_payment" if "Cashier" on "tenant";
}

# ---- customer

resource Customer {
  permissions = [
    "customer:list", "customer:read", "customer:lookup", "customer:create", "customer:update", "customer:consent",
    "customer:export", "customer:erase", "data:see_pii", "data:see_payment", "data:see_secret"
  ];
  relations = { tenant: Tenant };

  "customer:lookup" if "Cashier" on "tenant";
  "customer:create" if "Cashier" on "tenant";
  "customer:list" if "Support" on "tenant";
  "customer:list" if "Manager" on "tenant";
  "customer:read" if "Support" on "tenant";
  "customer:read" if "Manager" on "tenant";
  "customer:lookup" if "Support" on "tenant";
  "customer:lookup" if "Manager" on "tenant";
  "customer:update" if "Support" on "tenant";
  "customer:update" if "Manager" on "tenant";
  "customer:consent" if "Support" on "tenant";
  "customer:consent" if "Manager" on "tenant";
  "customer:export" if "Manager" on "tenant";
  "data:see_pii" if "Cashier" on "tenant";
  "data:see_payment" if "Cashier" on "tenant";
}

# ---- integration

resource Integration {
  permissions = [
    "integration:list", "integration:read", "integration:availability", "integration:sync_stock",
    "integration:deliver", "integration:retry", "integration:configure", "data:see_pii", "data:see_payment",
    "data:see_secret"
  ];
  relations = { tenant: Tenant };

  "integration:read" if "Service" on "tenant";
  "integration:deliver" if "Service" on "tenant";
  "integration:sync_stock" if "Service" on "tenant";
  "integration:availability" if "Service" on "tenant";
  "integration:availability" if "Cashier" on "tenant";
  "integration:availability" if "Support" on "tenant";
  "integration:availability" if "InventoryClerk" on "tenant";
  "integration:sync_stock" if "InventoryClerk" on "tenant";
  "integration:list" if "Manager" on "tenant";
  "integration:read" if "Manager" on "tenant";
  "integration:retry" if "Manager" on "tenant";
  "data:see_pii" if "Cashier" on "tenant";
  "data:see_payment" if "Cashier" on "tenant";
}

# ---- audit

resource AuditLog {
  permissions = ["audit:read", "audit:view_full", "audit:view_masked", "audit:view_own"];
  relations = { tenant: Tenant };

  "audit:read" if "Auditor" on "tenant";
  "audit:read" if "Support" on "tenant";
  "audit:view_masked" if "Auditor" on "tenant";
  "audit:view_masked" if "Support" on "tenant";
  "audit:read" if "Cashier" on "tenant";
  "audit:read" if "InventoryClerk" on "tenant";
  "audit:read" if "Service" on "tenant";
  "audit:view_own" if "Cashier" on "tenant";
  "audit:view_own" if "InventoryClerk" on "tenant";
  "audit:view_own" if "Service" on "tenant";
}

# ---- Lychgate's own operations

resource Gateway {
  permissions = ["ops:status", "ops:revoke", "ops:explain", "ops:reload", "decision:ask", "context:exchange"];
  relations = { tenant: Tenant };
}

has_permission(user: User, action: String, gateway: Gateway) if
  user.tenant = "platform" and
  has_role(user, "Auditor", gateway.tenant) and
  action in ["ops:status", "ops:explain"];
has_permission(user: User, action: String, gateway: Gateway) if
  user.tenant = "platform" and
  has_role(user, "Service", gateway.tenant) and
  action in ["decision:ask", "context:exchange"];
